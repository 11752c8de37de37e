/**
 * Which terms a replica's seqs were assigned in: a base (the last entry that is not kept any more) and runs of equal
 * terms after it; and the highest term that it has adopted, which no truncation takes back. Pure; the log keeps one for what is durable and one for what is queued as well.
 */

import assert from 'node:assert';
import type { TermRun } from './log.ts';

export class TermHistory {
  #baseSeq = 0;
  #baseTerm = 0;
  #adoptedTerm = 0;
  #runs: TermRun[] = [];

  clone(): TermHistory {
    const copy = new TermHistory();
    copy.#baseSeq = this.#baseSeq;
    copy.#baseTerm = this.#baseTerm;
    copy.#adoptedTerm = this.#adoptedTerm;
    copy.#runs = [...this.#runs];
    return copy;
  }

  get runs(): readonly TermRun[] {
    return this.#runs;
  }

  get firstSeq(): number {
    return this.#baseSeq + 1;
  }

  get lastSeq(): number {
    return this.#runs.at(-1)?.lastSeq ?? this.#baseSeq;
  }

  get lastTerm(): number {
    return this.#runs.at(-1)?.term ?? this.#baseTerm;
  }

  /** At least the term of every entry there ever was. */
  get adoptedTerm(): number {
    return this.#adoptedTerm;
  }

  /** Also answers for the entry just before `firstSeq`, whose term outlives it. */
  termAt(seq: number): number | undefined {
    if (seq === this.#baseSeq) return this.#baseTerm;
    return this.#runs.find((run) => run.firstSeq <= seq && seq <= run.lastSeq)?.term;
  }

  append(seq: number, term: number): void {
    assert(seq === this.lastSeq + 1, `seq ${seq} does not follow ${this.lastSeq}`);
    assert(term >= this.lastTerm, `term ${term} falls below ${this.lastTerm}`);
    const last = this.#runs.at(-1);
    if (last?.term === term) this.#runs[this.#runs.length - 1] = { term, firstSeq: last.firstSeq, lastSeq: seq };
    else this.#runs.push({ term, firstSeq: seq, lastSeq: seq });
    this.adopt(term);
  }

  /** A term that is not above the adopted one changes nothing. */
  adopt(term: number): void {
    this.#adoptedTerm = Math.max(this.#adoptedTerm, term);
  }

  /** Drops entries from `fromSeq` on; `termBefore` is the term of the one before, which may lie below the base. */
  truncate(fromSeq: number, termBefore: number): void {
    if (fromSeq <= this.#baseSeq) return this.reset(fromSeq - 1, termBefore);
    this.#runs = this.#runs
      .filter((run) => run.firstSeq < fromSeq)
      .map((run) => (run.lastSeq < fromSeq ? run : { ...run, lastSeq: fromSeq - 1 }));
  }

  reset(seq: number, term: number): void {
    this.#baseSeq = seq;
    this.#baseTerm = term;
    this.#runs = [];
    this.adopt(term);
  }

  /** Moves the base up to `seq`: those entries are not kept any more. */
  trimThrough(seq: number): void {
    if (seq <= this.#baseSeq) return;
    const term = this.termAt(seq);
    assert(term !== undefined, `cannot trim through ${seq}: the last seq is ${this.lastSeq}`);
    this.#runs = this.#runs
      .filter((run) => run.lastSeq > seq)
      .map((run) => (run.firstSeq > seq ? run : { ...run, firstSeq: seq + 1 }));
    this.#baseSeq = seq;
    this.#baseTerm = term;
  }
}
