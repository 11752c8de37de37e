/**
 * The bytes of one file of `faulty-file-system.ts`, as the page cache shows them and as the disk has them.
 *
 * The cache's bytes are kept whole. For each 512-byte sector in which the disk differs, `onDisk` keeps what the disk has.
 * A sector is *dirty* until a sync; a failed sync leaves sectors that differ and are no longer dirty: they can still be
 * read, and no later sync writes them. That is what Linux does.
 */

import { below, type Random } from './random.ts';

export const sectorBytes = 512;
const zeroSector = new Uint8Array(sectorBytes);

export class VolatileFile {
  #cached = new Uint8Array(0);
  #sizeBytes = 0;
  #sizeOnDisk = 0;
  readonly #onDisk = new Map<number, Uint8Array>();
  readonly #dirty = new Set<number>();

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** What a sync would have to write, roughly: for a disk that fills up. */
  get allocatedBytes(): number {
    return Math.ceil(this.#sizeBytes / sectorBytes) * sectorBytes;
  }

  write(chunk: Uint8Array, offset: number): void {
    const end = offset + chunk.length;
    this.#reserve(end);
    this.#touch(Math.min(offset, this.#sizeBytes), end);
    this.#cached.set(chunk, offset);
    this.#sizeBytes = Math.max(this.#sizeBytes, end);
  }

  read(target: Uint8Array, offset: number): number {
    const count = Math.max(0, Math.min(target.length, this.#sizeBytes - offset));
    target.set(this.#cached.subarray(offset, offset + count));
    return count;
  }

  content(): Uint8Array {
    return this.#cached.slice(0, this.#sizeBytes);
  }

  truncate(sizeBytes: number): void {
    this.#reserve(sizeBytes);
    const [from, through] = sizeBytes < this.#sizeBytes ? [sizeBytes, this.#sizeBytes] : [this.#sizeBytes, sizeBytes];
    this.#touch(from, through);
    this.#cached.fill(0, from, through);
    this.#sizeBytes = sizeBytes;
  }

  sync(): void {
    for (const sector of this.#dirty) this.#onDisk.delete(sector);
    this.#dirty.clear();
    this.#sizeOnDisk = this.#sizeBytes;
  }

  /** Some sectors reach the disk, the others never will, although the cache goes on showing them. */
  failSync(random: Random): void {
    for (const sector of this.#dirty) if (random.fraction() < 0.5) this.#onDisk.delete(sector);
    this.#dirty.clear();
  }

  /** What the disk is left with after a power loss, by chance. */
  losePower(random: Random): void {
    for (const [sector, bytes] of this.#onDisk) if (!this.#dirty.has(sector)) this.#setSector(sector, bytes);
    if (this.#sizeBytes < this.#sizeOnDisk) this.#undoShrinking(random);
    const fate = below(random, 4);
    if (fate === 1) this.#loseFrom(0, this.#sizeOnDisk);
    if (fate === 2) this.#losePrefix(random);
    if (fate === 3) this.#loseScattered(random);
    this.#cached.fill(0, this.#sizeBytes);
    this.#onDisk.clear();
    this.#dirty.clear();
    this.#sizeOnDisk = this.#sizeBytes;
  }

  /** Flips one bit, on the disk and in the cache: rot that nothing noticed. */
  flip(offset: number, bit: number): void {
    if (offset >= this.#sizeBytes) throw new RangeError(`no byte ${offset} in a file of ${this.#sizeBytes} bytes`);
    this.#cached[offset]! ^= 1 << bit;
    const bytes = this.#onDisk.get(Math.floor(offset / sectorBytes));
    if (bytes !== undefined && bytes !== zeroSector) bytes[offset % sectorBytes]! ^= 1 << bit;
  }

  /** A shorter size that was not synced either reached the disk or did not; in between there is nothing. */
  #undoShrinking(random: Random): void {
    if (random.fraction() < 0.5) return;
    this.#reserve(this.#sizeOnDisk);
    const firstCut = Math.floor(this.#sizeBytes / sectorBytes);
    for (const [sector, bytes] of this.#onDisk) if (sector >= firstCut) this.#setSector(sector, bytes);
    this.#sizeBytes = this.#sizeOnDisk;
  }

  #loseFrom(firstLostSector: number, sizeBytes: number): void {
    for (const sector of this.#dirty) if (sector >= firstLostSector) this.#setSector(sector, this.#onDisk.get(sector)!);
    if (sizeBytes < this.#sizeBytes) this.#sizeBytes = sizeBytes;
  }

  /** The file ends somewhere between its old and its new end; the sectors up to there were written in order. */
  #losePrefix(random: Random): void {
    const grownBytes = this.#sizeBytes - this.#sizeOnDisk;
    if (grownBytes <= 0) return this.#loseScattered(random);
    this.#sizeBytes = this.#sizeOnDisk + below(random, grownBytes);
  }

  /** The size reached the disk, and some sectors did, in no order; the others are what they were, or zeros. */
  #loseScattered(random: Random): void {
    for (const sector of this.#dirty) {
      if (random.fraction() < 0.5) this.#setSector(sector, this.#onDisk.get(sector)!);
    }
  }

  #setSector(sector: number, bytes: Uint8Array): void {
    const start = sector * sectorBytes;
    if (start >= this.#cached.length) return;
    this.#cached.set(bytes.subarray(0, Math.min(sectorBytes, this.#cached.length - start)), start);
  }

  /** Remembers what the disk has where the cache is about to change. */
  #touch(from: number, end: number): void {
    if (end <= from) return;
    const last = Math.floor((end - 1) / sectorBytes);
    for (let sector = Math.floor(from / sectorBytes); sector <= last; sector++) {
      this.#dirty.add(sector);
      if (this.#onDisk.has(sector)) continue;
      const start = sector * sectorBytes;
      this.#onDisk.set(sector, start >= this.#sizeOnDisk ? zeroSector : this.#cached.slice(start, start + sectorBytes));
    }
  }

  #reserve(byteCount: number): void {
    if (byteCount <= this.#cached.length) return;
    const wanted = Math.max(byteCount, this.#cached.length * 2, 4 * sectorBytes);
    const grown = new Uint8Array(Math.ceil(wanted / sectorBytes) * sectorBytes);
    grown.set(this.#cached);
    this.#cached = grown;
  }
}
