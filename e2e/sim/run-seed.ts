/** One seed with the production code, as the command line asks for it. */

import { processLogger, type LogLevel } from '../../pods/kernel/logger.ts';
import type { MutationName } from '../../pods/kernel/mutations.ts';
import { clusterParts } from './cluster/cluster-parts.ts';
import { noMask, runCluster, type Mask, type RunReport } from './cluster/cluster-run.ts';
import type { FaultKind } from './cluster/faults/fault-table.ts';
import { storeRules } from './cluster/store-rules.ts';
import { hunts } from './mutations.ts';

export interface SeedOptions {
  /** Broken on purpose, under the faults and in the shape of its hunt. */
  readonly mutation?: MutationName | undefined;
  /** The same hunt, and nothing is broken. */
  readonly isControl?: boolean;
  readonly without?: readonly FaultKind[];
  readonly mask?: Mask;
  readonly print?: (line: string) => void;
  readonly logLevel?: LogLevel;
}

export function runSeed(seed: number, { mutation, isControl = false, without = [], mask = noMask, print, logLevel = 'silent' }: SeedOptions): Promise<RunReport> {
  const hunted = new Set(mutation === undefined ? [] : [mutation]);
  return runCluster({
    seed,
    parts: clusterParts,
    mutations: isControl ? new Set() : hunted,
    rules: storeRules(hunted),
    ...(mutation === undefined ? {} : hunts[mutation]),
    mask: { ...mask, kinds: new Set([...without, ...mask.kinds]) },
    ...(print === undefined ? {} : { print }),
    ...(logLevel === 'silent' ? {} : { logger: (name: string) => processLogger(logLevel).child({ node: name }) }),
  });
}
