/**
 * What the log knows of its durable records, kept in memory: for each replica its term history, the crc its next record
 * must name, and where its entries lie. One function takes every record, whether it was just written, is read back at
 * open, or is checked by `verify`; a record that does not continue what came before is refused with a sentence.
 */

import { adoptedTermOf, baseMarker, type LogRecord, type RecordContent } from './format.ts';
import { TermHistory } from './history.ts';
import type { LocalReplica } from './log.ts';

/** Where a record lies. */
export interface Position {
  readonly segment: number;
  /** Offset of the frame in the segment. */
  readonly frameOffset: number;
  /** Offset of the record in the frame. */
  readonly recordOffset: number;
}

/** Entries from `firstSeq` on are found by reading forward from here, up to the next landmark. */
export interface Landmark extends Position {
  readonly firstSeq: number;
}

export interface ReplicaState {
  readonly history: TermHistory;
  /** Crc of the replica's newest record, whatever its kind. */
  chainCrc: number;
  /** Ascending by firstSeq and by position. */
  landmarks: Landmark[];
}

/** A new landmark is set when the last one of the replica is this far back in the same segment. */
const landmarkDistanceBytes = 64 * 1024;

export class LogState {
  readonly replicas = new Map<LocalReplica, ReplicaState>();
  /** Number that the next frame must have. */
  nextFrame = 1;
  readonly #forgotten = new Set<LocalReplica>();

  isForgotten(localReplica: LocalReplica): boolean {
    return this.#forgotten.has(localReplica);
  }

  /** Takes one record of a group frame; returns a sentence when it cannot follow what came before. */
  apply(record: LogRecord, segment: number, frameOffset: number): string | undefined {
    const id = record.localReplica;
    if (this.#forgotten.has(id)) return `replica ${id} has a record after it was forgotten`;
    const replica = this.replicas.get(id) ?? newReplica();
    if (record.previousCrc !== replica.chainCrc) return `a record of replica ${id} does not name the crc of the one before it`;
    const position = { segment, frameOffset, recordOffset: record.offset };
    const refusal = applyTo(replica, record, position);
    if (refusal !== undefined) return `replica ${id}: ${refusal}`;
    replica.chainCrc = record.crc;
    if (record.kind === 'forget') {
      this.replicas.delete(id);
      this.#forgotten.add(id);
    } else {
      this.replicas.set(id, replica);
    }
    return undefined;
  }

  /** The records of a base frame that a segment beginning now would have. */
  baseRecords(): { record: RecordContent; chainCrc: number }[] {
    return [...this.replicas].map(([id, { history, chainCrc }]) => ({
      record: baseMarker(id, history.lastSeq, history.lastTerm, history.adoptedTerm),
      chainCrc,
    }));
  }

  /** Takes over the base frame of the oldest segment there is; returns a sentence when it cannot be one. */
  startFrom(records: readonly LogRecord[]): string | undefined {
    for (const record of records) {
      const adoptedTerm = adoptedTermOf(record);
      if (adoptedTerm === undefined) return `the base of replica ${record.localReplica} has a payload that is no term`;
      const replica = newReplica();
      replica.history.reset(record.seq, record.term);
      replica.history.adopt(adoptedTerm);
      replica.chainCrc = record.previousCrc;
      this.replicas.set(record.localReplica, replica);
    }
    return undefined;
  }

  /** Compares a later segment's base frame with what the segments before it said. */
  disagreement(records: readonly LogRecord[]): string | undefined {
    if (records.length !== this.replicas.size) return `the base names ${records.length} replicas instead of ${this.replicas.size}`;
    for (const record of records) {
      const { localReplica, seq, term, previousCrc } = record;
      const replica = this.replicas.get(localReplica);
      if (replica === undefined) return `the base names replica ${localReplica}, which no earlier segment has`;
      const { history, chainCrc } = replica;
      const adoptedTerm = adoptedTermOf(record);
      if (adoptedTerm !== history.adoptedTerm) {
        return `the base has replica ${localReplica} in the adopted term ${adoptedTerm}; the segments before it end in ${history.adoptedTerm}`;
      }
      if (seq !== history.lastSeq || term !== history.lastTerm || previousCrc !== chainCrc) {
        return `the base has replica ${localReplica} at seq ${seq}, term ${term}; the segments before it end at seq ${history.lastSeq}, term ${history.lastTerm}`;
      }
    }
    return undefined;
  }

  /** The last seq that a replica keeps in `segment` or before, or undefined when it keeps none there. */
  lastKeptThrough(replica: ReplicaState, segment: number): number | undefined {
    const { landmarks, history } = replica;
    if (landmarks.length === 0 || landmarks[0]!.segment > segment) return undefined;
    const next = landmarks.find((landmark) => landmark.segment > segment);
    const last = next === undefined ? history.lastSeq : next.firstSeq - 1;
    return last < history.firstSeq ? undefined : last;
  }

  /** `segment` and those before it are gone. */
  dropThrough(segment: number): void {
    for (const replica of this.replicas.values()) {
      const last = this.lastKeptThrough(replica, segment);
      if (last !== undefined) replica.history.trimThrough(last);
      replica.landmarks = replica.landmarks.filter((landmark) => landmark.segment > segment);
    }
  }
}

function newReplica(): ReplicaState {
  return { history: new TermHistory(), chainCrc: 0, landmarks: [] };
}

function applyTo(replica: ReplicaState, record: LogRecord, position: Position): string | undefined {
  const { history, landmarks } = replica;
  const { kind, seq, term } = record;
  switch (kind) {
    case 'entry': {
      if (seq !== history.lastSeq + 1) return `seq ${seq} follows ${history.lastSeq}`;
      if (term < history.lastTerm) return `term ${term} follows ${history.lastTerm}`;
      history.append(seq, term);
      const last = landmarks.at(-1);
      const near = last?.segment === position.segment && position.frameOffset - last.frameOffset < landmarkDistanceBytes;
      if (!near) landmarks.push({ ...position, firstSeq: seq });
      return undefined;
    }
    case 'truncate': {
      if (seq > history.lastSeq + 1) return `a truncation from seq ${seq} lies beyond ${history.lastSeq}`;
      history.truncate(seq, term);
      while (landmarks.length > 0 && landmarks.at(-1)!.firstSeq >= seq) landmarks.pop();
      landmarks.push({ ...position, firstSeq: seq });
      return undefined;
    }
    case 'reset':
      history.reset(seq, term);
      landmarks.length = 0;
      return undefined;
    case 'adopt':
      history.adopt(term);
      return undefined;
    case 'forget':
      return undefined;
    case 'base':
      return 'a base record lies outside a base frame';
  }
}
