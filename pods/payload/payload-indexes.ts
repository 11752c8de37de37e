/**
 * The payload indexes of one shard, in memory. They follow the payloads by `update`, and answer filters with sets of
 * labels that are exactly those whose payload `compileFilter` accepts, or say which labels have to be looked at.
 *
 * An update is repeatable: it says what a label's payload is, not what changed. So a shard that restarts loads a
 * checkpoint and hands over the present payload of every label that changed since, and a field that is indexed anew
 * (`beginField`) is filled from stored payloads, in any order, while updates go on.
 */

import assert from 'node:assert/strict';
import type { Filter, PayloadIndexSpec } from '../domain/filter.ts';
import type { LabelBits, LabelSet } from '../domain/label-set.ts';
import type { Payload } from '../domain/point.ts';
import { encodeCheckpoint, decodeCheckpoint, type Chunks } from './checkpoint-codec.ts';
import { FieldIndex } from './field-index.ts';
import { FilterCache } from './filter-cache.ts';
import { estimateCount, FilterEvaluation, slicePairsDefault } from './filter-evaluation.ts';

export type FilterPlan =
  /** `set` is the answer. It belongs to the caller. */
  | { readonly kind: 'exact'; readonly set: LabelBits }
  /**
   * The answer is `certain`, and those of `uncertain` whose payload matches `residual`. The two do not overlap, and both
   * belong to the caller. `fields` are those without an index; none when only values of another type than the index's,
   * or changes during the evaluation, have to be looked at.
   */
  | {
      readonly kind: 'candidates';
      readonly certain: LabelBits;
      readonly uncertain: LabelBits;
      readonly residual: Filter;
      readonly fields: readonly string[];
    };

export class PayloadIndexes {
  readonly #fields = new Map<string, FieldIndex>();
  /** Fields that are being filled: they follow updates and answer nothing yet. */
  readonly #filling = new Map<string, FieldIndex>();
  readonly #evaluations = new Set<FilterEvaluation>();
  /** Of filters that were answered exactly; without an index nobody tells of changes, and nothing is kept. */
  readonly #answered = new FilterCache();
  readonly #slicePairs: number;
  #labelLimit = 0;
  #encoding = false;

  /** `slicePairs` is how much of an index an evaluation reads between two turns of the event loop. */
  constructor(specs: readonly PayloadIndexSpec[], slicePairs = slicePairsDefault) {
    this.#slicePairs = slicePairs;
    for (const spec of specs) this.#fields.set(spec.field, new FieldIndex(spec));
  }

  /**
   * Reads a checkpoint. Its fields that are not among the specs are dropped; specs that it does not hold are `missing`
   * and being filled already, as after `beginField`. CORRUPTION when the bytes are damaged: the caller rebuilds.
   */
  static async decode(specs: readonly PayloadIndexSpec[], chunks: Chunks): Promise<{ indexes: PayloadIndexes; missing: readonly PayloadIndexSpec[] }> {
    const decoded = await decodeCheckpoint(chunks);
    const indexes = new PayloadIndexes([]);
    indexes.#labelLimit = decoded.labelLimit;
    const missing: PayloadIndexSpec[] = [];
    for (const spec of specs) {
      const field = decoded.fields.find(({ spec: stored }) => stored.field === spec.field && stored.type === spec.type);
      if (field === undefined) {
        missing.push(spec);
        indexes.beginField(spec);
      } else {
        indexes.#fields.set(spec.field, field);
      }
    }
    return { indexes, missing };
  }

  /** Indexes that answer. */
  get specs(): readonly PayloadIndexSpec[] {
    return [...this.#fields.values()].map(({ spec }) => spec);
  }

  /** Says what the payload of a label is now; undefined when the label is free. */
  update(label: number, payload: Payload | undefined): void {
    for (const index of this.#fields.values()) index.update(label, payload);
    for (const index of this.#filling.values()) index.update(label, payload);
    for (const evaluation of this.#evaluations) evaluation.touch(label);
    this.#answered.clear();
    this.#labelLimit = Math.max(this.#labelLimit, label + 1);
  }

  /**
   * Begins an index on another field, or one of another type on the same field. Now the caller updates every live label
   * with its present payload, never with one older than an update made meanwhile, and then calls `completeField`.
   */
  beginField(spec: PayloadIndexSpec): void {
    this.#filling.set(spec.field, new FieldIndex(spec));
  }

  /** The field's index answers from now on, in the place of an earlier one. */
  completeField(field: string): void {
    const index = this.#filling.get(field);
    assert(index !== undefined, 'a completed field was begun');
    this.#filling.delete(field);
    this.#fields.set(field, index);
    this.#answered.clear();
  }

  dropField(field: string): void {
    this.#fields.delete(field);
    this.#filling.delete(field);
    this.#answered.clear();
  }

  /** Rejects with the signal's reason when it aborts. */
  async evaluate(filter: Filter, live: LabelSet, signal?: AbortSignal): Promise<FilterPlan> {
    const known = this.#answered.get(filter);
    if (known !== undefined) return { kind: 'exact', set: known };
    const evaluation = new FilterEvaluation(new Map(this.#fields), live, this.#labelLimit, signal, this.#slicePairs);
    this.#evaluations.add(evaluation);
    try {
      const { certain, possible } = await evaluation.run(filter);
      if (certain === possible || certain.count === possible.count) {
        if (this.#fields.size > 0) this.#answered.put(filter, certain);
        return { kind: 'exact', set: certain };
      }
      const uncertain = possible.andNot(certain);
      return { kind: 'candidates', certain, uncertain, residual: filter, fields: [...evaluation.unindexedFields] };
    } finally {
      this.#evaluations.delete(evaluation);
    }
  }

  /** About how many of `liveCount` labels match, without reading any; see `estimateCount`. */
  estimate(filter: Filter, liveCount: number): number {
    return estimateCount(this.#fields, filter, liveCount);
  }

  /**
   * Writes a checkpoint of this moment: what was updated before the call is in it, what is updated after is not, and
   * updates do not wait. `write` takes a chunk of about 64 KiB; the next follows when it resolves. One at a time.
   */
  async encode(write: (chunk: Uint8Array) => Promise<void>): Promise<void> {
    assert(!this.#encoding, 'one checkpoint is written at a time');
    this.#encoding = true;
    try {
      await encodeCheckpoint([...this.#fields.values()], this.#labelLimit, write);
    } finally {
      this.#encoding = false;
    }
  }

  memoryBytes(): number {
    let total = this.#answered.memoryBytes();
    for (const index of [...this.#fields.values(), ...this.#filling.values()]) total += index.memoryBytes();
    return total;
  }
}
