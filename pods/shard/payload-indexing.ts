/**
 * Filters of one shard: answers them from the payload indexes as far as these reach, and from the payloads themselves
 * where a small set remains. The result is always a set of labels that goes into the search; no filter is applied to a
 * search's result.
 */

import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Filter, PayloadIndexSpec } from '../domain/filter.ts';
import { compileFilter } from '../domain/filter-match.ts';
import { LabelBits } from '../domain/label-set.ts';
import type { PayloadIndexes } from '../payload/payload-indexes.ts';
import type { LabelTable } from './label-table.ts';
import { parsePayload, type StoredPayload, type StoredPoints } from './stored-points.ts';

/** Payloads read and parsed between two turns of the event loop. */
const sliceCount = 256;

export class PayloadIndexing {
  readonly indexes: PayloadIndexes;
  readonly #labels: LabelTable;
  readonly #points: StoredPoints;
  /** Specs that are served or being built. */
  #wanted: readonly PayloadIndexSpec[];

  constructor(labels: LabelTable, points: StoredPoints, indexes: PayloadIndexes, wanted: readonly PayloadIndexSpec[]) {
    this.indexes = indexes;
    this.#labels = labels;
    this.#points = points;
    this.#wanted = wanted;
  }

  /** Whether any field is indexed, so that payloads have to be looked at when points change. */
  get active(): boolean {
    return this.#wanted.length > 0;
  }

  /** Follows a change of a label's payload; undefined when the label is free. */
  update(label: number, stored: StoredPayload | undefined): void {
    this.indexes.update(label, stored === undefined ? undefined : parsePayload(stored));
  }

  /** The live labels whose payload the filter accepts; FIELD_NOT_INDEXED when that would mean reading too many payloads. */
  async matching(filter: Filter, signal: AbortSignal): Promise<LabelBits> {
    const plan = await this.indexes.evaluate(filter, this.#labels.live, signal);
    if (plan.kind === 'exact') return plan.set.and(this.#labels.live);
    const uncertain = plan.uncertain.and(this.#labels.live);
    if (uncertain.count > limits.unindexedFilterPointCountMax) {
      const fields = plan.fields.join(', ');
      // Without such a field it is values that the index's type does not hold which have to be looked at.
      const advice = fields === '' ? 'their values are of another type than the payload index' : `add a payload index on ${fields}`;
      throw new ShoalError(
        'FIELD_NOT_INDEXED',
        `the filter needs the payloads of ${uncertain.count} points of one shard, above the limit of ${limits.unindexedFilterPointCountMax}; ${advice}`,
        { details: { field: fields, limit: limits.unindexedFilterPointCountMax, found: uncertain.count } },
      );
    }
    const verified = await this.#verify(uncertain.toArray(), plan.residual, signal);
    return plan.certain.or(verified).and(this.#labels.live);
  }

  /** Builds the indexes that are new from the stored payloads, while writes go on, and drops those not wanted any more. */
  async change(specs: readonly PayloadIndexSpec[]): Promise<void> {
    const same = (a: PayloadIndexSpec, b: PayloadIndexSpec): boolean => a.field === b.field && a.type === b.type;
    const added = specs.filter((spec) => !this.#wanted.some((present) => same(present, spec)));
    const dropped = this.#wanted.filter((present) => !specs.some((spec) => spec.field === present.field));
    this.#wanted = specs;
    for (const { field } of dropped) this.indexes.dropField(field);
    for (const spec of added) this.indexes.beginField(spec);
    await this.complete(added);
  }

  /** Fills fields that were begun, and lets them answer. */
  async complete(specs: readonly PayloadIndexSpec[]): Promise<void> {
    if (specs.length === 0) return;
    await this.refresh(LabelBits.copyOf(this.#labels.live).toArray());
    for (const { field } of specs) this.indexes.completeField(field);
  }

  /** Tells the indexes the present payload of these labels, or that they are free. */
  async refresh(labels: Uint32Array): Promise<void> {
    for (let start = 0; start < labels.length; start += sliceCount) {
      const slice = labels.subarray(start, start + sliceCount);
      const payloads = await this.#points.payloads(slice);
      slice.forEach((label, i) => {
        const stored = payloads[i];
        if (!this.#labels.isLive(label)) this.indexes.update(label, undefined);
        // A payload of another version than the table's was changed meanwhile: `update` has told or will tell.
        else if (stored !== undefined && stored.version === this.#labels.version(label)) this.update(label, stored);
      });
    }
  }

  async #verify(labels: Uint32Array, filter: Filter, signal: AbortSignal): Promise<LabelBits> {
    const matches = compileFilter(filter);
    const accepted = new LabelBits();
    for (let start = 0; start < labels.length; start += sliceCount) {
      signal.throwIfAborted();
      const slice = labels.subarray(start, start + sliceCount);
      const payloads = await this.#points.payloads(slice);
      slice.forEach((label, i) => {
        const stored = payloads[i];
        if (stored !== undefined && matches(parsePayload(stored))) accepted.add(label);
      });
    }
    return accepted;
  }
}
