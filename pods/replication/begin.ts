/** How a primary begins its term (rule P2). Pure. */

import type { Authority } from './authority.ts';
import { askNewcomers } from './fencing.ts';
import { andThen, type LeadingState } from './primary-role.ts';
import type { CoreOutput, CoreState } from './state.ts';
import { extend } from './term-runs.ts';

/** P2: the term is adopted, its no-op logged, and everybody who has or shall have a replica is asked what it has. */
export function begin(state: CoreState, authority: Authority): CoreOutput {
  const { term } = authority;
  const noOpSeq = state.lastSeq + 1;
  const leading: LeadingState = {
    ...state,
    authority,
    term,
    lastSeq: noOpSeq,
    runs: extend(state.runs, state.lastSeq, term, 1),
    role: { kind: 'primary', authority, noOpSeq, others: [], change: undefined, lastFence: 0, round: 0, roundComplete: 0, writesStopped: false },
  };
  const begun: CoreOutput = {
    state: leading,
    adoptTerm: term,
    append: { term, firstSeq: noOpSeq, entryCount: 1 },
    because: `P2: term ${term} begins with a no-op at ${noOpSeq}`,
  };
  return andThen(begun, askNewcomers);
}
