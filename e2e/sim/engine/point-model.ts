/**
 * What one point may be. Acknowledged operations are ordered by the seq their shard gave them; operations whose outcome
 * nobody knows may have happened, at any place after those that were acknowledged before they began, or not.
 */

import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { Filter } from '../../../pods/domain/filter.ts';
import { compileFilter } from '../../../pods/domain/filter-match.ts';
import type { Payload } from '../../../pods/domain/point.ts';
import type { ItemOutcome, OperationResult, WriteCondition } from '../../../pods/domain/write.ts';

export type Item =
  | { readonly kind: 'upsert'; readonly id: string; readonly vector: Float32Array; readonly payload: Payload; readonly text?: string; readonly condition?: WriteCondition }
  | { readonly kind: 'delete'; readonly id: string; readonly condition?: WriteCondition }
  | { readonly kind: 'change'; readonly id: string; readonly set?: Payload; readonly remove?: readonly string[]; readonly replace?: boolean; readonly condition?: WriteCondition };

/** One request's part on one shard. */
export interface ShardPart {
  readonly name: string;
  readonly shard: number;
  readonly items: readonly Item[];
  /** How many operations had been acknowledged when it began, and when it was. */
  readonly startedAt: number;
  acknowledgedAt: number | undefined;
  /** Once acknowledged. */
  seq: number | undefined;
}

export interface Present {
  readonly version: number | ShardPart;
  readonly vector: Float32Array;
  readonly payload: Payload;
  readonly text: string | undefined;
}
export type State = Present | undefined;

export function filterAccepts(filter: Filter, state: State): boolean {
  return state !== undefined && compileFilter(filter)(state.payload);
}

/** What an item does to a state, and how that is called. */
export function evaluate(item: Item, before: State, version: number | ShardPart): { outcome: ItemOutcome; after: State } {
  if (!holds(item.condition, before)) return { outcome: 'condition-failed', after: before };
  switch (item.kind) {
    case 'upsert':
      return { outcome: before === undefined ? 'created' : 'updated', after: { version, vector: item.vector, payload: item.payload, text: item.text } };
    case 'delete':
      return before === undefined ? { outcome: 'not-found', after: before } : { outcome: 'deleted', after: undefined };
    case 'change': {
      if (before === undefined) return { outcome: 'not-found', after: before };
      const merged = { ...(item.replace === true ? {} : before.payload), ...item.set };
      const payload = Object.fromEntries(Object.entries(merged).filter(([key]) => !(item.remove ?? []).includes(key)));
      return { outcome: 'updated', after: { ...before, version, payload } };
    }
  }
}

function holds(condition: WriteCondition | undefined, state: State): boolean {
  switch (condition?.kind) {
    case undefined:
      return true;
    case 'absent':
      return state === undefined;
    case 'present':
      return state !== undefined;
    case 'version':
      return (state?.version ?? 0) === condition.version;
    case 'matches':
      return filterAccepts(condition.filter, state);
  }
}

interface Effect {
  readonly part: ShardPart;
  readonly item: Item;
  /** Undefined while its outcome is not known. */
  result: OperationResult | undefined;
}

/** Whether a part may have happened, as one of its points shows. */
export interface Possibility {
  readonly part: ShardPart;
  readonly applied: boolean;
  readonly skipped: boolean;
  /** The version it must have, when it can be seen. */
  readonly seq: number | undefined;
}

const hasEffect = (outcome: ItemOutcome): boolean => outcome === 'created' || outcome === 'updated' || outcome === 'deleted';

export class PointModel {
  state: State = undefined;
  #effects: Effect[] = [];
  #changeCount = 0;

  get openCount(): number {
    return this.#effects.filter((effect) => effect.result === undefined).length;
  }

  /** What it must be just now, when nothing is open; `changeCount` tells whether anything began since. */
  known(): { state: State; changeCount: number } | undefined {
    if (this.openCount > 0) return undefined;
    const effective = this.#effects.filter(({ result }) => hasEffect(result!.outcome)).sort((a, b) => a.part.seq! - b.part.seq!);
    let { state } = this;
    for (const { item, part } of effective) state = evaluate(item, state, part.seq!).after;
    return { state, changeCount: this.#changeCount };
  }

  begin(part: ShardPart, item: Item): void {
    this.#changeCount++;
    this.#effects.push({ part, item, result: undefined });
  }

  acknowledge(part: ShardPart, result: OperationResult): void {
    this.#effects.find((effect) => effect.part === part)!.result = result;
  }

  /** It was refused: nothing of it was done. */
  forget(part: ShardPart): void {
    this.#effects = this.#effects.filter((effect) => effect.part !== part);
  }

  /** Takes over what was read, if operations can explain it; says which of the open ones that leaves possible. */
  settle(observed: State): Possibility[] {
    const known = this.#effects.filter((effect) => effect.result !== undefined && hasEffect(effect.result.outcome)).sort((a, b) => a.part.seq! - b.part.seq!);
    const open = this.#effects.filter((effect) => effect.result === undefined);
    const explanations: Map<ShardPart, boolean>[] = [];
    this.#explain(this.state, known, open, new Map(), observed, explanations);
    if (explanations.length === 0) assert.fail(this.#describe(observed, known, open));
    if (open.length === 0) this.#checkRefusals(known);
    const possibilities = open.map(({ part }): Possibility => {
      const applied = explanations.filter((explanation) => explanation.get(part) !== undefined);
      const visible = applied.length > 0 && applied.every((explanation) => explanation.get(part) === true);
      return {
        part,
        applied: applied.length > 0,
        skipped: explanations.some((explanation) => explanation.get(part) === undefined),
        seq: visible && observed !== undefined ? (observed.version as number) : undefined,
      };
    });
    this.state = observed;
    this.#effects = [];
    return possibilities;
  }

  /** Tries every order; an explanation maps each open part that happened to whether the point's version is its own. */
  #explain(state: State, known: readonly Effect[], open: readonly Effect[], applied: Map<ShardPart, boolean>, observed: State, found: Map<ShardPart, boolean>[]): void {
    const [next, ...later] = known;
    if (next === undefined && matches(state, observed)) {
      const explanation = new Map(applied);
      if (state !== undefined && typeof state.version !== 'number') explanation.set(state.version, true);
      found.push(explanation);
    }
    if (next !== undefined) {
      const { outcome, after } = evaluate(next.item, state, next.part.seq!);
      if (outcome === next.result!.outcome) this.#explain(after, later, open, applied, observed, found);
    }
    for (const effect of open) {
      if (next !== undefined && next.part.acknowledgedAt! < effect.part.startedAt) continue;
      const { after } = evaluate(effect.item, state, effect.part);
      const rest = open.filter((other) => other !== effect);
      this.#explain(after, known, rest, new Map([...applied, [effect.part, false]]), observed, found);
    }
  }

  /** An item without effect must have met a state that refuses it. */
  #checkRefusals(known: readonly Effect[]): void {
    const states = [this.state];
    for (const { item, part } of known) states.push(evaluate(item, states.at(-1), part.seq!).after);
    for (const { item, result, part } of this.#effects) {
      if (result === undefined || hasEffect(result.outcome)) continue;
      const met = states.some((state) => evaluate(item, state, 0).outcome === result.outcome && (state?.version ?? 0) === result.version);
      assert(met, `${part.name} answered ${result.outcome}, version ${result.version}, for "${item.id}", which never was in such a state`);
    }
  }

  #describe(observed: State, known: readonly Effect[], open: readonly Effect[]): string {
    const list = (effects: readonly Effect[]): string => effects.map(({ part, item, result }) => `${part.name} ${item.kind} seq ${part.seq ?? '?'} ${result?.outcome ?? 'unknown'}`).join('; ');
    return `read ${show(observed)}; before it was ${show(this.state)}; acknowledged since: [${list(known)}]; unknown: [${list(open)}]`;
  }
}

function matches(state: State, observed: State): boolean {
  if (state === undefined || observed === undefined) return state === observed;
  const sameVersion = typeof state.version !== 'number' || state.version === observed.version;
  return sameVersion && isDeepStrictEqual(state.vector, observed.vector) && isDeepStrictEqual(state.payload, observed.payload) && state.text === observed.text;
}

export function show(state: State): string {
  if (state === undefined) return 'absent';
  const version = typeof state.version === 'number' ? state.version : `of ${state.version.name}`;
  return `version ${version} ${JSON.stringify(state.payload)} [${state.vector.join(', ')}]${state.text === undefined ? '' : ` "${state.text}"`}`;
}
