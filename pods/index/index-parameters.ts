/** What the indexes of a collection are made with. */

import type { CollectionSpec } from '../domain/collection.ts';
import type { IndexParameters } from './vector-index.ts';

export function indexParametersOf({ dimension, metric, index }: CollectionSpec): IndexParameters {
  return { dimension, metric, m: index.m, efConstruction: index.efConstruction, quantization: index.quantization };
}
