import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TermHistory } from './history.ts';

/** Terms of seqs 1, 2, … as a history. */
function historyOf(...terms: number[]): TermHistory {
  const history = new TermHistory();
  for (const [index, term] of terms.entries()) history.append(index + 1, term);
  return history;
}

/** "base@term run run …" with a run as "term:first-last". */
function shown(history: TermHistory): string {
  const base = `${history.firstSeq - 1}@${history.termAt(history.firstSeq - 1)}`;
  return [base, ...history.runs.map(({ term, firstSeq, lastSeq }) => `${term}:${firstSeq}-${lastSeq}`)].join(' ');
}

const cases: { what: string; change: (history: TermHistory) => void; after: string }[] = [
  { what: 'nothing', change: () => undefined, after: '0@0 1:1-2 3:3-4 4:5-5' },
  { what: 'an entry of the same term', change: (history) => history.append(6, 4), after: '0@0 1:1-2 3:3-4 4:5-6' },
  { what: 'truncation inside a run', change: (history) => history.truncate(4, 3), after: '0@0 1:1-2 3:3-3' },
  { what: 'truncation at a run’s start', change: (history) => history.truncate(3, 1), after: '0@0 1:1-2' },
  { what: 'truncation of everything', change: (history) => history.truncate(1, 0), after: '0@0' },
  { what: 'trimming inside a run', change: (history) => history.trimThrough(3), after: '3@3 3:4-4 4:5-5' },
  { what: 'trimming a run', change: (history) => history.trimThrough(2), after: '2@1 3:3-4 4:5-5' },
  { what: 'trimming everything', change: (history) => history.trimThrough(5), after: '5@4' },
  { what: 'reset', change: (history) => history.reset(40, 9), after: '40@9' },
  {
    what: 'truncation below what was trimmed',
    change(history) {
      history.trimThrough(4);
      history.truncate(3, 1);
    },
    after: '2@1',
  },
];
for (const { what, change, after } of cases) {
  test(`term runs after ${what}`, () => {
    const original = historyOf(1, 1, 3, 3, 4);
    const changed = original.clone();
    change(changed);
    assert.equal(shown(changed), after);
    assert.equal(shown(original), '0@0 1:1-2 3:3-4 4:5-5', 'a clone is independent');
  });
}
