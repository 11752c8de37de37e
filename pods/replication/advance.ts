/** What may follow from any news that reaches a primary. Pure. */

import type { Authority } from './authority.ts';
import { considerChange } from './changes.ts';
import { commitCovered } from './commit.ts';
import { askNewcomers } from './fencing.ts';
import { andThen, withRole, type LeadingState } from './primary-role.ts';
import { completeRound } from './read-rounds.ts';
import type { CoreOutput } from './state.ts';

/** A commit, a change of inSync, a finished round. */
export function advance(output: CoreOutput): CoreOutput {
  return andThen(andThen(andThen(output, commitCovered), considerChange), completeRound);
}

/** Takes over what the store has confirmed. */
export function adopt(state: LeadingState, authority: Authority, because: string): CoreOutput {
  const next = withRole({ ...state, authority }, { authority });
  return advance(andThen({ state: next, because }, askNewcomers));
}
