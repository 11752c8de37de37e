/**
 * What happened, as one number: every event of a run goes into a running CRC, so that two runs of one seed can be compared
 * without keeping either. Lines are kept or printed only when somebody wants to read them.
 */

import { crc32c } from '@node-rs/crc32';

export class Trace {
  readonly #print: ((line: string) => void) | undefined;
  readonly #startMs: number;
  #crc = 0;
  #mixed = 0x811c9dc5;
  #lineCount = 0;
  nowMs: () => number = () => 0;

  constructor(options: { readonly startMs: number; readonly print?: (line: string) => void }) {
    this.#startMs = options.startMs;
    this.#print = options.print;
  }

  /** An event that needs no words: a timer, a turn. */
  count(nowMs: number): void {
    // Microseconds since the start: whole numbers mix alike everywhere.
    this.#mixed = Math.imul(this.#mixed ^ Math.round((nowMs - this.#startMs) * 1_000), 0x01000193) >>> 0;
  }

  line(who: string, what: string): void {
    this.#lineCount++;
    const text = `${((this.nowMs() - this.#startMs) / 1_000).toFixed(6)} ${who} ${what}`;
    this.#crc = crc32c(text, this.#crc);
    this.#print?.(text);
  }

  get lineCount(): number {
    return this.#lineCount;
  }

  get hash(): string {
    return `${this.#crc.toString(16).padStart(8, '0')}${this.#mixed.toString(16).padStart(8, '0')}`;
  }
}
