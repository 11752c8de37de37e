/**
 * The progress file of an import: which batches the server has acknowledged. JSON Lines:
 *
 *   {"shoalImport":1,"source":…,"clientId":…,"floor":{…}}       what is imported, and everything before `floor` is done
 *   {"batch":12,"after":{…},"points":500,"badRows":0}           one line for each acknowledgement
 *
 * A line is written, by one synchronous append, before the slot of its batch sends another one: whatever happens to this
 * process, only batches that were under way can be sent again. A line that a crash cut off is passed over. The lines are
 * folded into the floor from time to time, by writing a new file and renaming it. The machine's own crash may lose what
 * the last second appended; then batches are sent again under their numbers, and the server recognises them (rule D1).
 */

import { closeSync, fdatasync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import type { Position } from '../formats/point-file.ts';
import type { Clock } from '../../kernel/clock.ts';

const syncIntervalMs = 1_000;
const foldLineCount = 4_096;

/** What must be the same for an import to go on where another one stopped. */
export interface ImportSource {
  readonly file: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly collectionUid: string;
  /** Everything that decides how rows become batches. */
  readonly options: string;
}

export interface Acknowledged {
  readonly batch: number;
  readonly after: Position;
  readonly points: number;
  readonly badRows: number;
}

/** Batches 1 to `batch` are acknowledged: their points and bad rows, and where the next one begins. */
export type Floor = Acknowledged;

export interface JournalState {
  readonly clientId: string;
  readonly floor: Floor;
  /** Acknowledged batches above the floor, which may have gaps where several were under way. */
  readonly above: ReadonlyMap<number, Acknowledged>;
}

interface Header {
  readonly shoalImport: 1;
  readonly source: ImportSource;
  readonly clientId: string;
  readonly floor: Floor;
}

export interface Journal {
  readonly state: JournalState;
  /** Returns when the line is in the file. */
  acknowledge(entry: Acknowledged): void;
  /** From now on batches go out under another client id. */
  renewClient(clientId: string): void;
  close(): void;
  /** The import is complete: nothing is left to go on with. */
  remove(): void;
}

/** What the progress file tells of this source; `other` when it is one of something else, or no progress file. */
export function readJournal(path: string, source: ImportSource): JournalState | 'absent' | 'other' {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'absent';
    throw error;
  }
  const lines = text.split('\n');
  // What follows the last line end was being written when the process died.
  lines.pop();
  const header = parsed<Header>(lines[0] ?? '');
  if (header?.shoalImport !== 1 || JSON.stringify(header.source) !== JSON.stringify(source)) return 'other';
  const above = new Map<number, Acknowledged>();
  for (const line of lines.slice(1)) {
    const entry = parsed<Acknowledged>(line);
    if (entry !== undefined) above.set(entry.batch, entry);
  }
  return raised({ clientId: header.clientId, floor: header.floor, above });
}

function parsed<Value>(line: string): Value | undefined {
  try {
    return JSON.parse(line) as Value;
  } catch {
    return undefined;
  }
}

/** The floor lifted over every batch that follows it without a gap. */
function raised(state: JournalState): JournalState {
  let { floor } = state;
  const above = new Map(state.above);
  for (let next = above.get(floor.batch + 1); next !== undefined; next = above.get(floor.batch + 1)) {
    above.delete(next.batch);
    floor = { batch: next.batch, after: next.after, points: floor.points + next.points, badRows: floor.badRows + next.badRows };
  }
  return { clientId: state.clientId, floor, above };
}

export function openJournal(path: string, source: ImportSource, begin: JournalState, clock: Clock): Journal {
  let state = begin;
  let lineCount = 0;
  let syncedMs = clock.monotonicMs();
  let descriptor = rewrite();

  function rewrite(): number {
    const header: Header = { shoalImport: 1, source, clientId: state.clientId, floor: state.floor };
    const temporary = `${path}.new`;
    const written = openSync(temporary, 'w');
    writeSync(written, [header, ...state.above.values()].map((line) => `${JSON.stringify(line)}\n`).join(''));
    fsyncSync(written);
    renameSync(temporary, path);
    lineCount = 0;
    return written;
  }
  const replace = (): void => {
    closeSync(descriptor);
    descriptor = rewrite();
  };

  return {
    get state() {
      return state;
    },
    acknowledge(entry) {
      writeSync(descriptor, `${JSON.stringify(entry)}\n`);
      state = raised({ ...state, above: new Map(state.above).set(entry.batch, entry) });
      if (++lineCount >= foldLineCount) replace();
      else if (clock.monotonicMs() - syncedMs >= syncIntervalMs) {
        syncedMs = clock.monotonicMs();
        // A failure only means that the machine's crash would cost more repeats.
        fdatasync(descriptor, () => undefined);
      }
    },
    renewClient(clientId) {
      state = { ...state, clientId };
      replace();
    },
    close: () => closeSync(descriptor),
    remove() {
      closeSync(descriptor);
      rmSync(path, { force: true });
    },
  };
}
