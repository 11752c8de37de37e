/** What a collection is: the spec that a user gives, its defaults, and the checks on it. */

import { limits } from '../kernel/limits.ts';
import { ShoalError } from '../kernel/errors.ts';
import { isMetric, metrics, type Metric } from './metric.ts';
import { payloadIndexTypes, type PayloadIndexSpec } from './filter.ts';
import { utf8Length } from './point.ts';

/** How the graph keeps its vectors; answers come from the exact ones in any case. */
export const quantizations = ['none', 'int8'] as const;
export type Quantization = (typeof quantizations)[number];

export interface IndexSpec {
  readonly type: 'hnsw' | 'flat';
  readonly m: number;
  readonly efConstruction: number;
  /** Breadth of a search that does not name its own. */
  readonly efSearch: number;
  readonly quantization: Quantization;
}

export interface CollectionSpec {
  readonly name: string;
  readonly dimension: number;
  readonly metric: Metric;
  readonly shards: number;
  readonly replication: { readonly replicas: number; readonly minInSync: number };
  readonly index: IndexSpec;
  readonly payloadIndexes: readonly PayloadIndexSpec[];
}

/** What may change after creation. */
export interface CollectionChanges {
  readonly efSearch?: number;
  readonly payloadIndexes?: readonly PayloadIndexSpec[];
  readonly replication?: Partial<CollectionSpec['replication']>;
}

export type CollectionInput = Pick<CollectionSpec, 'name' | 'dimension'> & {
  readonly metric?: Metric;
  readonly shards?: number;
  readonly replication?: Partial<CollectionSpec['replication']>;
  readonly index?: Partial<IndexSpec>;
  readonly payloadIndexes?: readonly PayloadIndexSpec[];
};

/** Of one shard, wherever there are pods enough. */
export const replicaCountMax = 9;

export const indexDefaults: IndexSpec = { type: 'hnsw', m: 16, efConstruction: 128, efSearch: 256, quantization: 'none' };

/** The complete spec with defaults filled in, or an error that names the field and its limit. */
export function collectionSpec(input: CollectionInput): CollectionSpec {
  checkCollectionName(input.name);
  const spec: CollectionSpec = {
    name: input.name,
    dimension: input.dimension,
    metric: input.metric ?? 'cosine',
    shards: input.shards ?? 1,
    replication: { replicas: 1, minInSync: 1, ...input.replication },
    index: { ...indexDefaults, ...input.index },
    payloadIndexes: input.payloadIndexes ?? [],
  };
  checkInteger('dimension', spec.dimension, 1, limits.dimensionMax);
  if (!isMetric(spec.metric)) throw invalid('metric', `metric must be one of ${metrics.join(', ')}`);
  checkInteger('shards', spec.shards, 1, limits.shardCountMax);
  checkInteger('replication.replicas', spec.replication.replicas, 1, replicaCountMax);
  checkInteger('replication.minInSync', spec.replication.minInSync, 1, spec.replication.replicas);
  if (spec.index.type !== 'hnsw' && spec.index.type !== 'flat') throw invalid('index.type', 'index.type must be hnsw or flat');
  checkInteger('index.m', spec.index.m, 2, 128);
  checkInteger('index.efConstruction', spec.index.efConstruction, 4, 4_096);
  checkInteger('index.efSearch', spec.index.efSearch, 1, limits.efSearchMax);
  if (!(quantizations as readonly string[]).includes(spec.index.quantization)) {
    throw invalid('index.quantization', `index.quantization must be one of ${quantizations.join(', ')}`);
  }
  checkPayloadIndexes(spec.payloadIndexes);
  return spec;
}

export function changedSpec(spec: CollectionSpec, changes: CollectionChanges): CollectionSpec {
  return collectionSpec({
    ...spec,
    index: { ...spec.index, ...(changes.efSearch === undefined ? {} : { efSearch: changes.efSearch }) },
    payloadIndexes: changes.payloadIndexes ?? spec.payloadIndexes,
    replication: { ...spec.replication, ...changes.replication },
  });
}

/** INVALID_NAME unless 1 to 255 bytes of valid Unicode without control characters or a slash. */
export function checkCollectionName(name: unknown, field = 'name'): asserts name is string {
  const fault = nameFault(name, limits.collectionNameBytesMax);
  if (fault !== undefined) throw new ShoalError('INVALID_NAME', `${field} ${fault}`, { details: { field } });
}

function nameFault(name: unknown, bytesMax: number): string | undefined {
  if (typeof name !== 'string') return 'must be a string';
  const bytes = utf8Length(name);
  if (bytes === 0) return 'must not be empty';
  if (bytes > bytesMax) return `has ${bytes} bytes; the limit is ${bytesMax}`;
  // eslint-disable-next-line no-control-regex
  if (!name.isWellFormed() || /[\u0000-\u001f\u007f/]/.test(name)) return 'must be valid Unicode without control characters or "/"';
  if (name === '.' || name === '..') return 'must not be "." or ".."';
  return undefined;
}

function checkPayloadIndexes(indexes: readonly PayloadIndexSpec[]): void {
  if (indexes.length > limits.payloadIndexCountMax) {
    throw invalid('payloadIndexes', `payloadIndexes has ${indexes.length} entries; the limit is ${limits.payloadIndexCountMax}`);
  }
  const seen = new Set<string>();
  indexes.forEach((index, position) => {
    const field = `payloadIndexes[${position}]`;
    const fault = nameFault(index.field, limits.fieldNameBytesMax);
    if (fault !== undefined) throw new ShoalError('INVALID_NAME', `${field}.field ${fault}`, { details: { field: `${field}.field` } });
    if (!(payloadIndexTypes as readonly string[]).includes(index.type)) {
      throw invalid(`${field}.type`, `${field}.type must be one of ${payloadIndexTypes.join(', ')}`);
    }
    if (seen.has(index.field)) throw invalid(`${field}.field`, `${field}.field repeats "${index.field}"`);
    seen.add(index.field);
  });
}

function checkInteger(field: string, value: unknown, min: number, max: number): void {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw invalid(field, `${field} must be an integer from ${min} to ${max}, not ${String(value)}`);
  }
}

function invalid(field: string, message: string): ShoalError {
  return new ShoalError('INVALID_ARGUMENT', message, { details: { field } });
}
