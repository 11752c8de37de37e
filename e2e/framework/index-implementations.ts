/**
 * What makes graphs, for suites that must hold with each of them. SHOAL_TEST_INDEX leaves one: `SHOAL_TEST_INDEX=hnswlib npm
 * test -- e2e/suites/crash.test.ts`.
 */

import type { IndexImplementation } from '../../pods/index/graph-factory.ts';

const all: readonly IndexImplementation[] = ['native', 'hnswlib'];

export const indexImplementations: readonly IndexImplementation[] = chosen(process.env['SHOAL_TEST_INDEX']);

/** Flags of a server. */
export function indexFlags(implementation: IndexImplementation): readonly string[] {
  return ['--index-implementation', implementation];
}

function chosen(name: string | undefined): readonly IndexImplementation[] {
  if (name === undefined || name === '') return all;
  const found = all.filter((implementation) => implementation === name);
  if (found.length === 0) throw new Error(`SHOAL_TEST_INDEX is "${name}"; it must be one of ${all.join(', ')}`);
  return found;
}
