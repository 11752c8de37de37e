/** Histories as runs of (term, seqs): what replicas compare to find how far they agree. All functions are pure. */

import type { TermRun } from '../log/log.ts';

export type TermRuns = readonly TermRun[];

/** Term of the entry at `seq`, or undefined when the runs do not reach it. */
export function termAt(runs: TermRuns, seq: number): number | undefined {
  for (let i = runs.length - 1; i >= 0; i--) {
    const run = runs[i]!;
    if (seq > run.lastSeq) return undefined;
    if (seq >= run.firstSeq) return run.term;
  }
  return undefined;
}

/** With `count` entries of `term` after `lastSeq`. */
export function extend(runs: TermRuns, lastSeq: number, term: number, count: number): TermRuns {
  if (count === 0) return runs;
  const newest = runs.at(-1);
  if (newest?.term === term && newest.lastSeq === lastSeq) return [...runs.slice(0, -1), { ...newest, lastSeq: lastSeq + count }];
  return [...runs, { term, firstSeq: lastSeq + 1, lastSeq: lastSeq + count }];
}

/** Runs that follow one another, those of one term as one. */
export function joined(runs: TermRuns): TermRuns {
  const all: TermRun[] = [];
  for (const run of runs) {
    const before = all.at(-1);
    if (before?.term === run.term && before.lastSeq + 1 === run.firstSeq) all[all.length - 1] = { ...before, lastSeq: run.lastSeq };
    else all.push(run);
  }
  return all;
}

/** Without the entries from `fromSeq` on. */
export function cutFrom(runs: TermRuns, fromSeq: number): TermRuns {
  return runs.filter((run) => run.firstSeq < fromSeq).map((run) => (run.lastSeq < fromSeq ? run : { ...run, lastSeq: fromSeq - 1 }));
}

/**
 * The newest seq at which both have an entry of the same term; 0 when there is none. As (term, seq) names one content
 * and every entry was accepted after the one before it matched, everything below is equal too (Raft's log matching).
 */
export function lastCommonSeq(ours: TermRuns, theirs: TermRuns): number {
  for (let i = ours.length - 1; i >= 0; i--) {
    const our = ours[i]!;
    for (let j = theirs.length - 1; j >= 0; j--) {
      const their = theirs[j]!;
      if (their.lastSeq < our.firstSeq) break;
      if (their.term === our.term && their.firstSeq <= our.lastSeq) return Math.min(our.lastSeq, their.lastSeq);
    }
  }
  return 0;
}
