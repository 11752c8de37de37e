/**
 * Answers one filter from the indexes of a shard by bounds: the labels that certainly match, and those that possibly do.
 * A condition that its index answers exactly has both bounds equal; one without an index has nothing certain and every
 * live label possible. The connectives carry bounds through, `not` by exchanging them:
 *
 *     and   certain ∧ certain, possible ∧ possible        not   live − possible, live − certain
 *     or    certain ∨ certain, possible ∨ possible
 *
 * The work runs in slices; payloads may change in between. Labels touched meanwhile are told to the evaluation, and are
 * in the end possible and not certain, whatever was read of them.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Filter } from '../domain/filter.ts';
import { LabelBits, type LabelSet } from '../domain/label-set.ts';
import type { FieldCondition, FieldIndex } from './field-index.ts';
import type { KeyRange } from './ordered-pairs.ts';

/** Pairs read between two turns of the event loop: two to three milliseconds. */
export const slicePairsDefault = 500_000;
/** What finding a range, and going through a word of a set, cost in pairs. */
const seekPairs = 500;
const wordPairs = 1 / 2;

export interface FilterBounds {
  readonly certain: LabelBits;
  /** Holds the certain ones too. The same object as `certain` when the two are equal. */
  readonly possible: LabelBits;
}

export class FilterEvaluation {
  readonly #fields: ReadonlyMap<string, FieldIndex>;
  readonly #live: LabelSet;
  readonly #wordCount: number;
  readonly #signal: AbortSignal | undefined;
  readonly #touched = new Set<number>();
  readonly #estimates = new Map<Filter, number>();
  readonly #slicePairs: number;
  #budget: number;
  readonly unindexedFields = new Set<string>();

  /** `labelLimit` is above every label that an index holds. */
  constructor(
    fields: ReadonlyMap<string, FieldIndex>,
    live: LabelSet,
    labelLimit: number,
    signal: AbortSignal | undefined,
    slicePairs = slicePairsDefault,
  ) {
    this.#fields = fields;
    this.#live = LabelBits.copyOf(live);
    this.#wordCount = Math.max(live.words.length, Math.ceil(labelLimit / 32));
    this.#signal = signal;
    this.#slicePairs = slicePairs;
    this.#budget = slicePairs;
  }

  touch(label: number): void {
    this.#touched.add(label);
  }

  async run(filter: Filter): Promise<FilterBounds> {
    this.#signal?.throwIfAborted();
    const found = await this.#bounds(filter);
    if (this.#touched.size === 0) return found;
    const certain = LabelBits.copyOf(found.certain);
    const possible = LabelBits.copyOf(found.possible);
    for (const label of this.#touched) {
      certain.remove(label);
      possible.add(label);
    }
    return { certain, possible };
  }

  async #bounds(filter: Filter): Promise<FilterBounds> {
    switch (filter.kind) {
      case 'and':
        return this.#and(filter.filters);
      case 'or':
        return this.#or(filter.filters);
      case 'not': {
        const { certain, possible } = await this.#bounds(filter.filter);
        const without = LabelBits.copyOf(this.#live).andNot(possible);
        await this.#spend(this.#wordCount * wordPairs);
        return certain === possible ? exactly(without) : { certain: without, possible: LabelBits.copyOf(this.#live).andNot(certain) };
      }
      default:
        return this.#condition(filter);
    }
  }

  async #and(filters: readonly Filter[]): Promise<FilterBounds> {
    let result = exactly(LabelBits.copyOf(this.#live));
    // The smallest first: nothing further has to be read once nothing is possible.
    const ordered = filters.map((filter) => ({ filter, estimate: estimateCount(this.#fields, filter, this.#live.count, this.#estimates) }));
    ordered.sort((left, right) => left.estimate - right.estimate);
    for (const { filter } of ordered) {
      const next = await this.#bounds(filter);
      result = combine(result, next, (left, right) => left.and(right));
      await this.#spend(this.#wordCount * wordPairs);
      if (result.possible.count === 0) break;
    }
    return result;
  }

  async #or(filters: readonly Filter[]): Promise<FilterBounds> {
    let result = exactly(new LabelBits(this.#wordCount * 32));
    for (const filter of filters) {
      result = combine(result, await this.#bounds(filter), (left, right) => left.or(right));
      await this.#spend(this.#wordCount * wordPairs);
    }
    return result;
  }

  async #condition(condition: FieldCondition): Promise<FilterBounds> {
    const index = this.#fields.get(condition.field);
    if (index === undefined) {
      this.unindexedFields.add(condition.field);
      return { certain: new LabelBits(), possible: LabelBits.copyOf(this.#live) };
    }
    const { certainRanges, certainSets, possibleRanges, possibleSets } = index.lookup(condition);
    const words = new Uint32Array(this.#wordCount);
    await this.#collect(index, certainRanges, words);
    const certain = LabelBits.fromWords(words);
    for (const set of certainSets) certain.or(set);
    const openSets = possibleSets.filter((set) => set.count > 0);
    if (possibleRanges.length === 0 && openSets.length === 0) return exactly(certain);
    const possibleWords = new Uint32Array(this.#wordCount);
    await this.#collect(index, possibleRanges, possibleWords);
    const possible = LabelBits.fromWords(possibleWords).or(certain);
    for (const set of openSets) possible.or(set);
    return { certain, possible };
  }

  async #collect(index: FieldIndex, ranges: readonly KeyRange[], words: Uint32Array): Promise<void> {
    for (const range of ranges) {
      const count = index.pairs.count(range);
      this.#budget -= seekPairs;
      if (this.#budget <= 0) await this.#nextSlice();
      if (count === 0) continue;
      let next = index.pairs.collect(range, words, this.#budget);
      while (next !== undefined) {
        await this.#nextSlice();
        next = index.pairs.collect(range, words, this.#budget, next);
      }
      this.#budget -= Math.min(count, this.#budget);
    }
  }

  async #spend(pairs: number): Promise<void> {
    this.#budget -= pairs;
    if (this.#budget <= 0) await this.#nextSlice();
  }

  async #nextSlice(): Promise<void> {
    await nextTurn();
    this.#signal?.throwIfAborted();
    this.#budget = this.#slicePairs;
  }
}

/** Of a longer list of values this many are counted, and stand for the others. */
const estimatedValues = 16;

/**
 * About how many labels match, from counts alone: the smallest part of an `and`, the sum of an `or`. A condition without
 * an index counts as all. `known` keeps what was found, so that nested filters are not counted again at every level.
 */
export function estimateCount(
  fields: ReadonlyMap<string, FieldIndex>,
  filter: Filter,
  liveCount: number,
  known = new Map<Filter, number>(),
): number {
  const found = known.get(filter);
  if (found !== undefined) return found;
  const count = (part: Filter): number => estimateCount(fields, part, liveCount, known);
  let estimate: number;
  switch (filter.kind) {
    case 'and':
      estimate = filter.filters.reduce((least, part) => Math.min(least, count(part)), liveCount);
      break;
    case 'or':
      estimate = filter.filters.reduce((sum, part) => sum + count(part), 0);
      break;
    case 'not':
      estimate = liveCount - count(filter.filter);
      break;
    default:
      estimate = estimateCondition(fields.get(filter.field), filter, liveCount);
  }
  estimate = Math.max(0, Math.min(liveCount, Math.round(estimate)));
  known.set(filter, estimate);
  return estimate;
}

function estimateCondition(index: FieldIndex | undefined, condition: FieldCondition, liveCount: number): number {
  if (index === undefined) return liveCount;
  if (condition.kind === 'in' && condition.values.length > estimatedValues) {
    const some = { ...condition, values: condition.values.slice(0, estimatedValues) };
    return estimateCondition(index, some, liveCount) * (condition.values.length / estimatedValues);
  }
  const { certainRanges, certainSets, possibleRanges, possibleSets } = index.lookup(condition);
  const ranges = [...certainRanges, ...possibleRanges].reduce((sum, range) => sum + index.pairs.count(range), 0);
  return [...certainSets, ...possibleSets].reduce((sum, set) => sum + set.count, ranges);
}

function exactly(set: LabelBits): FilterBounds {
  return { certain: set, possible: set };
}

/** `change` changes its first set, which nobody else holds. */
function combine(left: FilterBounds, right: FilterBounds, change: (left: LabelBits, right: LabelSet) => LabelBits): FilterBounds {
  if (left.certain === left.possible && right.certain === right.possible) return exactly(change(left.certain, right.certain));
  const possible = change(left.certain === left.possible ? LabelBits.copyOf(left.possible) : left.possible, right.possible);
  return { certain: change(left.certain, right.certain), possible };
}
