/**
 * Filters of one shard: answers them from the payload indexes as far as these reach, and from the payloads themselves
 * where a small set remains. The result is always a set of labels that goes into the search; no filter is applied to a
 * search's result.
 */

import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Filter, PayloadIndexSpec } from '../domain/filter.ts';
import { compileFilter } from '../domain/filter-match.ts';
import type { Payload } from '../domain/point.ts';
import { LabelBits } from '../index/label-set.ts';
import { PayloadIndexes } from '../payload/payload-indexes.ts';
import type { LabelTable } from './label-table.ts';
import { parsePayload, type StoredPayload, type StoredPoints } from './stored-points.ts';

/** Payloads read and parsed between two turns of the event loop. */
const sliceCount = 256;

export class PayloadIndexing {
  readonly #labels: LabelTable;
  readonly #points: StoredPoints;
  #indexes: PayloadIndexes;

  constructor(labels: LabelTable, points: StoredPoints, indexes: PayloadIndexes) {
    this.#labels = labels;
    this.#points = points;
    this.#indexes = indexes;
  }

  /** Whether any field is indexed, so that payloads have to be looked at when points change. */
  get active(): boolean {
    return this.#indexes.specs.length > 0;
  }

  get specs(): readonly PayloadIndexSpec[] {
    return this.#indexes.specs;
  }

  get indexes(): PayloadIndexes {
    return this.#indexes;
  }

  parse(stored: StoredPayload | undefined): Payload | undefined {
    return stored === undefined ? undefined : parsePayload(stored);
  }

  update(label: number, before: Payload | undefined, after: Payload | undefined): void {
    this.#indexes.update(label, before, after);
  }

  /** The live labels whose payload the filter accepts; FIELD_NOT_INDEXED when that would mean reading too many payloads. */
  async matching(filter: Filter, signal: AbortSignal): Promise<LabelBits> {
    const answer = this.#indexes.evaluate(filter, this.#labels.live);
    if (answer.kind === 'exact') return LabelBits.copyOf(answer.set).and(this.#labels.live);
    const candidates = (answer.kind === 'candidates' ? LabelBits.copyOf(answer.set).and(this.#labels.live) : LabelBits.copyOf(this.#labels.live)).toArray();
    if (candidates.length > limits.unindexedFilterPointCountMax) {
      const fields = answer.fields.join(', ');
      throw new ShoalError(
        'FIELD_NOT_INDEXED',
        `the filter needs the payloads of ${candidates.length} points of one shard, above the limit of ${limits.unindexedFilterPointCountMax}; add a payload index on ${fields}`,
        { details: { field: fields, limit: limits.unindexedFilterPointCountMax, found: candidates.length } },
      );
    }
    return this.#verify(candidates, filter, signal);
  }

  /** Builds indexes of other fields from the stored payloads, then exchanges them. */
  async rebuild(specs: readonly PayloadIndexSpec[]): Promise<void> {
    this.#indexes = await this.build(specs);
  }

  async build(specs: readonly PayloadIndexSpec[]): Promise<PayloadIndexes> {
    const indexes = new PayloadIndexes(specs);
    if (specs.length > 0) await this.fill(indexes, LabelBits.copyOf(this.#labels.live).toArray());
    return indexes;
  }

  /** Adds the present payloads of these labels. */
  async fill(indexes: PayloadIndexes, labels: Uint32Array): Promise<void> {
    for (let start = 0; start < labels.length; start += sliceCount) {
      const slice = labels.subarray(start, start + sliceCount);
      const payloads = await this.#points.payloads(slice);
      slice.forEach((label, i) => {
        const stored = payloads[i];
        if (stored !== undefined) indexes.update(label, undefined, parsePayload(stored));
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
