/** `shoal job drain`: empties a pod of a pool by asking the operator, and waits until that is done. */

import { sleep, type Clock } from '../../pods/kernel/clock.ts';
import { hasCode } from '../../pods/kernel/errors.ts';
import type { Logger } from '../../pods/kernel/logger.ts';
import type { ClusterMetadata } from '../../pods/metadata/cluster-metadata.ts';
import { nextDrainStep, type DrainRequest } from './drain-step.ts';

export interface DrainOptions extends DrainRequest {
  readonly metadata: ClusterMetadata;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface DrainOutcome {
  /** `late`: not done in time; the request stands, and the same command goes on. */
  readonly outcome: 'done' | 'refused' | 'absent' | 'late';
  readonly because: string;
}

const lookAgainMs = 500;

export async function drain({ metadata, timeoutMs, clock, logger, ...request }: DrainOptions): Promise<DrainOutcome> {
  const startMs = clock.monotonicMs();
  let said = '';
  for (;;) {
    try {
      const pool = await metadata.pools.get(request.pool);
      const step = nextDrainStep(pool, request);
      if (step.because !== said) logger.info({ because: step.because }, step.action);
      said = step.because;
      if (step.action === 'done' || step.action === 'absent') return { outcome: step.action, because: step.because };
      if (step.action === 'refused' || step.action === 'write') {
        await metadata.pools.replaceStatus({ ...pool!, status: step.status });
        if (step.action === 'refused') return { outcome: 'refused', because: step.because };
        if (request.cancels) return { outcome: 'done', because: step.because };
      }
    } catch (error) {
      // The operator wrote meanwhile, or nobody answered: it is looked at anew.
      if (!hasCode(error, 'CONFLICT') && !hasCode(error, 'UNAVAILABLE') && !hasCode(error, 'OUTCOME_UNKNOWN')) throw error;
      said = `${said === '' ? 'nothing is known yet' : said}; the Kubernetes API: ${(error as Error).message}`;
    }
    if (clock.monotonicMs() - startMs > timeoutMs) return { outcome: 'late', because: `after ${timeoutMs} ms: ${said}` };
    await sleep(clock, lookAgainMs);
  }
}
