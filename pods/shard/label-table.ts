/**
 * What a shard keeps in memory of each point: label → id, version, vector version, packed. There is no JavaScript object
 * a point, and no way from id to label: that is read from the store.
 *
 * Ids lie in chunks of 1 MiB, each in a slot of a multiple of 8 bytes that begins with its length (u16). A freed slot is
 * used again by an id of the same size class, so the table needs no compaction.
 */

import assert from 'node:assert/strict';
import { LabelBits, noLabel, type LabelSet } from '../domain/label-set.ts';
import { LabelColumn } from './label-column.ts';

const chunkBytes = 1 << 20;
const unitBytes = 8;
const unitsPerChunk = chunkBytes / unitBytes;
/** Above the longest id with its length; a few thousand ids, so that writing them takes no long turns. */
const idChunkBytes = 1 << 17;

export interface LabelVersions {
  /** Per label: version of the point; 0 where the label is not live. */
  readonly versions: Float64Array;
  /** Per label: version with which its vector was written; it tells two uses of one label apart. */
  readonly vectorVersions: Float64Array;
}

/** The same at one moment, while the table goes on changing. */
export interface LabelVersionsSnapshot {
  readonly labelCount: number;
  /** Both arrays' bytes, one after the other, in pieces. */
  bytes(): Iterable<Uint8Array>;
}

export class LabelTable {
  readonly #live = new LabelBits();
  readonly #chunks: Buffer[] = [];
  #nextUnit = 0;
  /** Per size class in units: positions of free slots. */
  readonly #freeSlots: number[][] = [];
  readonly #positions = new LabelColumn((length) => new Uint32Array(length));
  readonly #versions = new LabelColumn((length) => new Float64Array(length));
  readonly #vectorVersions = new LabelColumn((length) => new Float64Array(length));
  readonly #columns = [this.#positions, this.#versions, this.#vectorVersions];
  #nextLabel = 0;
  readonly #freeLabels: number[] = [];

  get live(): LabelSet {
    return this.#live;
  }

  get pointCount(): number {
    return this.#live.count;
  }

  isLive(label: number): boolean {
    return this.#live.has(label);
  }

  version(label: number): number {
    return this.#versions.get(label);
  }

  vectorVersion(label: number): number {
    return this.#vectorVersions.get(label);
  }

  id(label: number): string {
    // A message in the argument would be made for each hit of each search.
    if (!this.#live.has(label)) assert.fail(`label ${label} is not live`);
    const position = this.#positions.get(label);
    const chunk = this.#chunks[Math.floor(position / unitsPerChunk)]!;
    const start = (position % unitsPerChunk) * unitBytes;
    return chunk.toString('utf8', start + 2, start + 2 + chunk.readUInt16LE(start));
  }

  /** A label that nothing refers to; it becomes live by `set`. */
  allocate(): number {
    const label = this.#freeLabels.pop() ?? this.#nextLabel++;
    assert(label < noLabel, 'a shard holds fewer than 2^32 points');
    return label;
  }

  /** Makes a label live, as read from the store or as just allocated. The id may be given in UTF-8. */
  set(label: number, id: string | Uint8Array, version: number, vectorVersion: number): void {
    assert(!this.#live.has(label), `label ${label} is live already`);
    this.#grow(label + 1);
    this.#live.add(label);
    this.#positions.set(label, this.#store(id));
    this.#versions.set(label, version);
    this.#vectorVersions.set(label, vectorVersion);
  }

  setVersion(label: number, version: number): void {
    assert(this.#live.has(label), `label ${label} is not live`);
    this.#versions.set(label, version);
  }

  /** The label stops being live. It is handed out again only after `release`. */
  remove(label: number): void {
    assert(this.#live.remove(label), `label ${label} is not live`);
    const position = this.#positions.get(label);
    const chunk = this.#chunks[Math.floor(position / unitsPerChunk)]!;
    const units = sizeUnits(chunk.readUInt16LE((position % unitsPerChunk) * unitBytes));
    (this.#freeSlots[units] ??= []).push(position);
    this.#versions.set(label, 0);
    this.#vectorVersions.set(label, 0);
  }

  /** A removed label may be handed out again: no read can still hold it, and no index has it. */
  release(label: number): void {
    this.#freeLabels.push(label);
  }

  /** After all `set` calls of a start: labels in the gaps are free. */
  releaseGaps(): void {
    for (let label = this.#nextLabel - 1; label >= 0; label--) if (!this.#live.has(label)) this.#freeLabels.push(label);
  }

  /** Raises the first label that was never handed out, and makes room for those below it. */
  reserve(nextLabel: number): void {
    this.#grow(nextLabel);
  }

  /** The versions as they are now. */
  versionsSnapshot(): LabelVersionsSnapshot {
    const labelCount = this.#nextLabel;
    const columns = [this.#versions.snapshot(labelCount), this.#vectorVersions.snapshot(labelCount)];
    return {
      labelCount,
      *bytes() {
        for (const column of columns) {
          for (const { buffer, byteOffset, byteLength } of column.chunks()) yield new Uint8Array(buffer, byteOffset, byteLength);
        }
      },
    };
  }

  /**
   * Ids of the labels below `labelCount` for a checkpoint: u16 length, UTF-8; the length is 0 where the label is not live.
   * Each chunk is of the moment in which it is taken.
   */
  *idChunks(labelCount: number): Generator<Uint8Array> {
    for (let label = 0; label < labelCount; ) {
      const chunk = Buffer.allocUnsafe(idChunkBytes);
      let filled = 0;
      for (; label < labelCount; label++) {
        const position = this.#live.has(label) ? this.#positions.get(label) : undefined;
        const source = position === undefined ? undefined : this.#chunks[Math.floor(position / unitsPerChunk)]!;
        const start = position === undefined ? 0 : (position % unitsPerChunk) * unitBytes;
        const sizeBytes = 2 + (source?.readUInt16LE(start) ?? 0);
        if (filled + sizeBytes > chunk.length) break;
        if (source === undefined) chunk.writeUInt16LE(0, filled);
        else source.copy(chunk, filled, start, start + sizeBytes);
        filled += sizeBytes;
      }
      yield chunk.subarray(0, filled);
    }
  }

  memoryBytes(): number {
    return this.#chunks.length * chunkBytes + this.#columns.reduce((bytes, column) => bytes + column.memoryBytes(), 0) + this.#live.words.byteLength + this.#freeLabels.length * 8;
  }

  #store(id: string | Uint8Array): number {
    const length = typeof id === 'string' ? Buffer.byteLength(id) : id.length;
    const units = sizeUnits(length);
    const position = this.#freeSlots[units]?.pop() ?? this.#bump(units);
    const chunk = this.#chunks[Math.floor(position / unitsPerChunk)]!;
    const start = (position % unitsPerChunk) * unitBytes;
    chunk.writeUInt16LE(length, start);
    if (typeof id === 'string') chunk.write(id, start + 2);
    else chunk.set(id, start + 2);
    return position;
  }

  #bump(units: number): number {
    if (this.#nextUnit + units > this.#chunks.length * unitsPerChunk) {
      this.#nextUnit = this.#chunks.length * unitsPerChunk;
      this.#chunks.push(Buffer.allocUnsafeSlow(chunkBytes));
    }
    const position = this.#nextUnit;
    this.#nextUnit += units;
    return position;
  }

  #grow(labelCount: number): void {
    this.#nextLabel = Math.max(this.#nextLabel, labelCount);
    for (const column of this.#columns) column.grow(labelCount);
  }
}

function sizeUnits(lengthBytes: number): number {
  return Math.ceil((lengthBytes + 2) / unitBytes);
}
