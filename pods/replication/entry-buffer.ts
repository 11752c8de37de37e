/** The newest entries of a replica in memory, so that sending and applying them need not read the log; bounded in bytes. */

import type { LogEntry } from '../log/log.ts';

export class EntryBuffer {
  readonly #entries = new Map<number, LogEntry>();
  readonly #bytesMax: number;
  #bytes = 0;
  #oldestSeq = 1;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  find(seq: number): LogEntry | undefined {
    return this.#entries.get(seq);
  }

  /** Entries come in order; one that replaces others takes them out from its seq on. */
  add(entries: readonly LogEntry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    this.cutFrom(first.seq);
    if (this.#entries.size === 0) this.#oldestSeq = first.seq;
    for (const entry of entries) {
      this.#entries.set(entry.seq, entry);
      this.#bytes += entry.payload.length;
    }
  }

  cutFrom(seq: number): void {
    for (let at = Math.max(seq, this.#oldestSeq); this.#remove(at); at++);
  }

  /** Lets go of the oldest while there are too many; those above `durableSeq` are nowhere else to be had. */
  trim(durableSeq: number): void {
    while (this.#bytes > this.#bytesMax && this.#oldestSeq <= durableSeq && this.#remove(this.#oldestSeq)) this.#oldestSeq++;
  }

  #remove(seq: number): boolean {
    const entry = this.#entries.get(seq);
    if (entry === undefined) return false;
    this.#entries.delete(seq);
    this.#bytes -= entry.payload.length;
    return true;
  }
}
