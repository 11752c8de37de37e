/**
 * Points in clusters, made from a seed: as many as are wanted, for figures at sizes that no package ships. A cluster has a
 * centre drawn from the normal distribution, and its points lie around it by `spread` of that in each component, so that a
 * cluster overlaps its neighbours.
 */

import { seededRandom, type Random } from '../../pods/kernel/random.ts';
import type { NamedVectors } from './vector-file.ts';

const dimension = 100;
const seed = 20_261_122;
const pointsPerCluster = 100;
const spread = 0.8;
export const clusteredCountDefault = 1_000_000;

export function clusteredVectors(count: number): NamedVectors {
  const random = seededRandom(seed);
  const clusterCount = Math.ceil(count / pointsPerCluster);
  const centres = Float32Array.from({ length: clusterCount * dimension }, () => normal(random));
  const values = new Float32Array(count * dimension);
  for (let row = 0; row < count; row++) {
    const centre = (row % clusterCount) * dimension;
    for (let i = 0; i < dimension; i++) values[row * dimension + i] = centres[centre + i]! + spread * normal(random);
  }
  const source = `${clusterCount} clusters made from seed ${seed}`;
  return { source, dimension, values, names: Array.from({ length: count }, (_, row) => `${row % clusterCount}-${row}`) };
}

/** Box and Muller. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.fraction())) * Math.cos(2 * Math.PI * random.fraction());
}
