/**
 * Looks for an order in which the operations on one id could have happened one at a time, each between its invocation and
 * its response.
 *
 * The search is Wing and Gong's ("Testing and Verifying Concurrent Objects", 1993) with the memoisation of Lowe ("Testing
 * for Linearizability", 2017): take any operation that no other precedes, see whether the register allows its answer, go
 * on with the rest, step back when stuck, and never go on twice from the same set of taken operations and the same state.
 *
 * An operation of unknown outcome may be taken at any moment after its invocation, or never. An operation that leaves the
 * state as it is needs no alternative: if it fits here, then an order that has it later can have it here as well.
 *
 * Versions grow, so of the answers that name one, those with lower versions come first: that leaves little to try.
 *
 * The question is NP-complete, so the work has a bound; beyond it the answer is `undecided`.
 */

import type { Operation } from './history.ts';
import { step, type RegisterState } from './register.ts';

export type OrderSearch =
  | { readonly kind: 'found'; readonly order: readonly Operation[]; readonly stateCount: number }
  | { readonly kind: 'none' | 'undecided'; readonly stateCount: number };

/** An operation to take next, by its index, and the state after it. */
interface Choice {
  readonly index: number;
  readonly after: RegisterState;
}

/** What could be taken after as many operations as there are levels before this one. */
interface Level {
  readonly choices: readonly Choice[];
  tried: number;
}

/** An order of all operations of known outcome, with any of the others. None of them may have failed. */
export function searchOrder(operations: readonly Operation[], initial: RegisterState, stateCountMax: number): OrderSearch {
  const remaining = new Remaining(operations);
  const visited = new Set<string>();
  const path: Operation[] = [];
  const levels: Level[] = [{ choices: choicesFrom(remaining, initial), tried: 0 }];
  while (remaining.knownCount > 0) {
    const level = levels.at(-1)!;
    const choice = level.choices[level.tried++];
    if (choice === undefined) {
      levels.pop();
      const above = levels.at(-1);
      if (above === undefined) return { kind: 'none', stateCount: visited.size };
      remaining.putBack(above.choices[above.tried - 1]!.index);
      path.pop();
      continue;
    }
    remaining.take(choice.index);
    const key = `${remaining.key()} ${stateKey(choice.after)}`;
    if (visited.has(key)) {
      remaining.putBack(choice.index);
      continue;
    }
    if (visited.size >= stateCountMax) return { kind: 'undecided', stateCount: visited.size };
    visited.add(key);
    path.push(remaining.operations[choice.index]!);
    levels.push({ choices: choicesFrom(remaining, choice.after), tried: 0 });
  }
  return { kind: 'found', order: path, stateCount: visited.size };
}

/** What may come next: whatever was invoked before any other that remains has responded. Those of unknown outcome last. */
function choicesFrom(remaining: Remaining, state: RegisterState): Choice[] {
  const { operations, knownEnd } = remaining;
  const choices: Choice[] = [];
  let firstResponse = Infinity;
  for (let index = remaining.firstKnown; index < knownEnd && operations[index]!.invokedAt <= firstResponse; index++) {
    if (!remaining.has(index)) continue;
    const operation = operations[index]!;
    firstResponse = Math.min(firstResponse, operation.respondedAt);
    if (versionOf(operation) > remaining.leastVersion) continue;
    const after = step(state, operation);
    if (after === state) return [{ index, after }];
    if (after !== undefined) choices.push({ index, after });
  }
  for (let index = knownEnd; index < operations.length && operations[index]!.invokedAt <= firstResponse; index++) {
    const after = remaining.has(index) ? step(state, operations[index]!) : undefined;
    if (after !== undefined) choices.push({ index, after });
  }
  return choices;
}

/** The version that its answer names; 0 for none. */
function versionOf(operation: Operation): number {
  if (operation.outcome !== 'ok') return 0;
  return 'seen' in operation.answer ? (operation.answer.seen?.version ?? 0) : operation.answer.version;
}

function stateKey({ point, floor }: RegisterState): string {
  return point === undefined ? `${floor}` : `${floor} ${point.vector} ${point.payload} ${point.version ?? '?'}`;
}

/** The operations that are not taken yet. A run of taken ones at the beginning makes up most of what is taken, so that a key is short. */
class Remaining {
  /** Those of known outcome, then the others; each in the order of their invocations. */
  readonly operations: readonly Operation[];
  /** Where those of known outcome end. */
  readonly knownEnd: number;
  knownCount: number;
  /** The first of known outcome that is not taken; `knownEnd` when there is none. */
  firstKnown = 0;
  readonly #isTaken: Uint8Array;
  /** Indexes of those whose answers name a version, by version, and the place of each index there. */
  readonly #byVersion: readonly number[];
  readonly #placeByVersion: ReadonlyMap<number, number>;
  /** The first in `#byVersion` that is not taken. */
  #firstByVersion = 0;

  constructor(operations: readonly Operation[]) {
    const sorted = operations.toSorted((a, b) => a.invokedAt - b.invokedAt);
    const known = sorted.filter(({ outcome }) => outcome === 'ok');
    this.operations = [...known, ...sorted.filter(({ outcome }) => outcome === 'unknown')];
    this.knownEnd = this.knownCount = known.length;
    this.#isTaken = new Uint8Array(this.operations.length);
    const versions = this.operations.map(versionOf);
    this.#byVersion = [...versions.keys()].filter((index) => versions[index]! > 0).sort((a, b) => versions[a]! - versions[b]!);
    this.#placeByVersion = new Map(this.#byVersion.map((index, place) => [index, place]));
  }

  /** The least that an answer names which is not taken. */
  get leastVersion(): number {
    const index = this.#byVersion[this.#firstByVersion];
    return index === undefined ? Infinity : versionOf(this.operations[index]!);
  }

  has(index: number): boolean {
    return this.#isTaken[index] === 0;
  }

  take(index: number): void {
    this.#isTaken[index] = 1;
    if (index < this.knownEnd) this.knownCount--;
    while (this.firstKnown < this.knownEnd && !this.has(this.firstKnown)) this.firstKnown++;
    while (this.#firstByVersion < this.#byVersion.length && !this.has(this.#byVersion[this.#firstByVersion]!)) this.#firstByVersion++;
  }

  putBack(index: number): void {
    this.#isTaken[index] = 0;
    if (index >= this.knownEnd) return;
    this.knownCount++;
    this.firstKnown = Math.min(this.firstKnown, index);
    this.#firstByVersion = Math.min(this.#firstByVersion, this.#placeByVersion.get(index) ?? Infinity);
  }

  /** Names the set: `firstKnown`, which of those after it are taken, which of unknown outcome are taken. */
  key(): string {
    const takenAfter: number[] = [];
    let left = this.knownEnd - this.knownCount - this.firstKnown;
    for (let index = this.firstKnown + 1; left > 0; index++) {
      if (this.has(index)) continue;
      takenAfter.push(index - this.firstKnown);
      left--;
    }
    const unknown = this.#isTaken.subarray(this.knownEnd).join('');
    return `${this.firstKnown} ${takenAfter.join(',')} ${unknown}`;
  }
}
