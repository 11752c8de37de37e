/** `shoal job uninstall`: what the chart runs before an installation goes. */

import { sleep, type Clock } from '../../pods/kernel/clock.ts';
import { hasCode } from '../../pods/kernel/errors.ts';
import type { Logger } from '../../pods/kernel/logger.ts';
import type { ClusterMetadata } from '../../pods/metadata/cluster-metadata.ts';
import { nextUninstallStep } from './uninstall-step.ts';

export interface UninstallOptions {
  readonly metadata: ClusterMetadata;
  readonly withCollections: boolean;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const lookAgainMs = 500;

/** Resolves to nothing when nothing waits for the operator any more, else to why not. */
export async function uninstall({ metadata, withCollections, timeoutMs, clock, logger }: UninstallOptions): Promise<string | undefined> {
  const startMs = clock.monotonicMs();
  let waitedFor = 'the Kubernetes API';
  for (;;) {
    try {
      const installed = { collections: await metadata.collections.list(), pools: await metadata.pools.list() };
      const step = nextUninstallStep(installed, { withCollections });
      if (step.action === 'done') return undefined;
      if (step.action === 'refuse') return step.because;
      if (step.action === 'delete') {
        await metadata[step.kind].delete(step.name, step.resourceVersion);
        logger.info({ kind: step.kind, name: step.name }, 'deleted');
        continue;
      }
      if (step.because !== waitedFor) logger.info({ because: step.because }, 'waiting');
      waitedFor = step.because;
    } catch (error) {
      // Somebody else was faster, or nobody answered: it is looked at anew.
      if (!hasCode(error, 'CONFLICT') && !hasCode(error, 'UNAVAILABLE') && !hasCode(error, 'OUTCOME_UNKNOWN')) throw error;
    }
    if (clock.monotonicMs() - startMs > timeoutMs) return `after ${timeoutMs} ms it still waits: ${waitedFor}; is the operator running?`;
    await sleep(clock, lookAgainMs);
  }
}
