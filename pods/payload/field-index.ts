/**
 * The index of one payload field: pairs (key, label) for the values of its type, and sets of labels for the rest, so
 * that every condition can be answered, if not exactly then by bounds.
 *
 *     present   labels with anything at the field, null, {} and [] too
 *     nulls     labels with a null there
 *     foreign   labels with a string, number or boolean that the index's type does not take
 *     overfull  labels with too many values to index: they have no pairs, and only `present` tells of them
 *
 * What the types take, and as which key: `keyword` strings up to a length, by their dictionary number; `integer` and
 * `float` any number (a payload's number is a double whatever the field is called, so both are one structure); `bool`
 * 0 and 1; `datetime` strings that are RFC 3339 instants, by the instant.
 */

import assert from 'node:assert/strict';
import { fieldPath, someValueAt, type FieldPath } from '../domain/field-path.ts';
import type { Filter, FilterValue, PayloadIndexSpec } from '../domain/filter.ts';
import { rangeBounds } from '../domain/filter-match.ts';
import { parseInstant } from '../domain/instant.ts';
import { LabelBits } from '../domain/label-set.ts';
import type { Payload, PayloadValue } from '../domain/point.ts';
import { limits } from '../kernel/limits.ts';
import { Dictionary } from './dictionary.ts';
import { KeyColumn } from './key-column.ts';
import { OrderedPairs, type KeyRange } from './ordered-pairs.ts';

/** A condition on one field. */
export type FieldCondition = Exclude<Filter, { kind: 'and' | 'or' | 'not' }>;

/** Where the labels are that a condition certainly, or possibly, holds for. */
export interface FieldLookup {
  readonly certainRanges: readonly KeyRange[];
  readonly certainSets: readonly LabelBits[];
  /** Besides the certain ones. Labels without pairs or in these sets have to be looked at. */
  readonly possibleRanges: readonly KeyRange[];
  readonly possibleSets: readonly LabelBits[];
}

export class FieldIndex {
  readonly spec: PayloadIndexSpec;
  readonly pairs = new OrderedPairs();
  /** Of keyword indexes. */
  readonly dictionary: Dictionary | undefined;
  readonly present = new LabelBits();
  readonly nulls = new LabelBits();
  readonly foreign = new LabelBits();
  readonly overfull = new LabelBits();
  readonly #path: FieldPath;
  readonly #column = new KeyColumn();

  constructor(spec: PayloadIndexSpec) {
    this.spec = spec;
    this.#path = fieldPath(spec.field);
    this.dictionary = spec.type === 'keyword' ? new Dictionary() : undefined;
  }

  /** Replaces all that is known of the label by what the payload says; undefined forgets the label. */
  update(label: number, payload: Payload | undefined): void {
    if (payload !== undefined && this.#path.length === 1 && this.#updateOne(label, payload)) return;
    const found = payload === undefined ? nothing : this.#read(payload);
    put(this.present, label, found.present);
    put(this.nulls, label, found.hasNull);
    put(this.foreign, label, found.hasForeign);
    put(this.overfull, label, found.overfull);
    if (found.keys.length === 1 && this.#column.isOnly(label, found.keys[0] as number)) return;
    this.#replaceKeys(label, found.keys);
  }

  /** What most payloads have, one value that the index takes, for a label without keys: without making anything. */
  #updateOne(label: number, payload: Payload): boolean {
    const name = this.#path[0]!;
    const value = Object.hasOwn(payload, name) ? payload[name]! : null;
    if (typeof value === 'object' || !this.#column.isEmpty(label) || !this.#takes(value)) return false;
    const key = this.#keyOf(value, 'new') as number;
    this.present.add(label);
    this.nulls.remove(label);
    this.foreign.remove(label);
    this.overfull.remove(label);
    assert(this.pairs.add(key, label), 'a pair is added once');
    this.#column.append(label, key);
    return true;
  }

  /** Takes pairs from a checkpoint; false unless they come in order. */
  restorePairs(keys: Float64Array, labels: Uint32Array): boolean {
    if (!this.pairs.append(keys, labels)) return false;
    for (let i = 0; i < keys.length; i++) this.#column.append(labels[i] as number, keys[i] as number);
    return true;
  }

  lookup(condition: FieldCondition): FieldLookup {
    switch (condition.kind) {
      case 'exists':
        return { certainRanges: [], certainSets: [this.present], possibleRanges: [], possibleSets: [] };
      case 'equals':
        return this.#lookupValues([condition.value]);
      case 'in':
        return this.#lookupValues(condition.values);
      case 'range': {
        const bounds = rangeBounds(condition);
        const { type } = this.spec;
        const indexed = bounds.kind === 'numbers' ? type === 'integer' || type === 'float' : type === 'datetime';
        if (indexed) return { certainRanges: [bounds], certainSets: [], possibleRanges: [], possibleSets: [this.overfull] };
        // The strings that a keyword index took may write instants; elsewhere values of the bounds' type are foreign.
        const among = bounds.kind === 'instants' && type === 'keyword' ? this.present : this.foreign;
        return { certainRanges: [], certainSets: [], possibleRanges: [], possibleSets: [among, this.overfull] };
      }
    }
  }

  memoryBytes(): number {
    const sets = this.present.memoryBytes() + this.nulls.memoryBytes() + this.foreign.memoryBytes() + this.overfull.memoryBytes();
    return sets + this.pairs.memoryBytes() + this.#column.memoryBytes() + (this.dictionary?.memoryBytes() ?? 0);
  }

  #lookupValues(values: readonly FilterValue[]): FieldLookup {
    const certainRanges: KeyRange[] = [];
    const possibleRanges: KeyRange[] = [];
    const certainSets: LabelBits[] = [];
    const possibleSets = [this.overfull];
    for (const value of new Set(values)) {
      if (value === null) {
        certainSets.push(this.nulls);
        continue;
      }
      if (!this.#takes(value)) {
        if (!possibleSets.includes(this.foreign)) possibleSets.push(this.foreign);
        continue;
      }
      const key = this.#keyOf(value);
      if (key === undefined) continue;
      // Two strings may write one instant, and equality is of strings.
      const ranges = this.spec.type === 'datetime' ? possibleRanges : certainRanges;
      ranges.push({ low: key, lowIncluded: true, high: key, highIncluded: true });
    }
    return { certainRanges, certainSets, possibleRanges, possibleSets };
  }

  #read(payload: Payload): FieldContent {
    const found: FieldContent = { present: false, hasNull: false, hasForeign: false, overfull: false, keys: [] };
    const taken: PayloadValue[] = [];
    let valueCount = 0;
    someValueAt(payload, this.#path, (value) => {
      found.present = true;
      if (typeof value === 'object' && value !== null) return false;
      found.overfull = ++valueCount > limits.indexedValuesPerFieldMax;
      if (value === null) found.hasNull = true;
      else if (this.#takes(value)) taken.push(value);
      else found.hasForeign = true;
      return found.overfull;
    });
    if (found.overfull || taken.length === 0) return found;
    found.keys = [...new Set(taken.map((value) => this.#keyOf(value, 'new') as number))];
    if (found.keys.length > 1) found.keys.sort((left, right) => left - right);
    return found;
  }

  /** Whether values like this are in the pairs. */
  #takes(value: PayloadValue): boolean {
    switch (this.spec.type) {
      case 'keyword':
        return typeof value === 'string' && value.length <= limits.indexedKeywordLengthMax;
      case 'integer':
      case 'float':
        return typeof value === 'number' && Number.isFinite(value);
      case 'bool':
        return typeof value === 'boolean';
      case 'datetime':
        return typeof value === 'string' && parseInstant(value) !== undefined;
    }
  }

  /** The key of a value that the index takes; undefined for a string that no label has. */
  #keyOf(value: PayloadValue, string: 'known' | 'new' = 'known'): number | undefined {
    switch (this.spec.type) {
      case 'keyword': {
        const dictionary = this.dictionary as Dictionary;
        return string === 'new' ? dictionary.intern(value as string) : dictionary.find(value as string);
      }
      case 'integer':
      case 'float':
      case 'bool':
        return Number(value);
      case 'datetime':
        return parseInstant(value as string);
    }
  }

  #replaceKeys(label: number, keys: readonly number[]): void {
    const before = this.#column.get(label);
    if (before.length === 0 && keys.length === 0) return;
    for (const key of keys) if (!before.includes(key)) assert(this.pairs.add(key, label), 'a pair is added once');
    for (const key of before) {
      if (keys.includes(key)) continue;
      assert(this.pairs.remove(key, label), 'a pair of the column is among the pairs');
      if (this.dictionary !== undefined && !this.pairs.hasKey(key)) this.dictionary.release(key);
    }
    this.#column.set(label, keys);
  }
}

interface FieldContent {
  present: boolean;
  hasNull: boolean;
  hasForeign: boolean;
  overfull: boolean;
  /** Ascending, without repetition. */
  keys: number[];
}

const nothing: Readonly<FieldContent> = { present: false, hasNull: false, hasForeign: false, overfull: false, keys: [] };

function put(set: LabelBits, label: number, isMember: boolean): void {
  if (isMember) set.add(label);
  else set.remove(label);
}
