/**
 * What `shoal job drain` does next: it asks in the pool's status, and reads there how far the operator is. It moves nothing
 * by itself. Pure.
 *
 *     no request ─▶ asked (drains[]: request, Requested) ─▶ Draining ─▶ Drained: done, the request stands
 *                                                       └─▶ Refused: the request is taken back, with the reason
 */

import type { VectorPool } from '../../pods/metadata/objects.ts';
import { ordinalOf } from '../desired/names.ts';

type Drain = NonNullable<VectorPool['status']['drains']>[number];

export interface DrainRequest {
  readonly pool: string;
  readonly pod: string;
  /** Who asks, in a word. */
  readonly by: string;
  /** The pod shall hold replicas again. */
  readonly cancels: boolean;
}

export type DrainStep = { readonly because: string } & (
  | { readonly action: 'write'; readonly status: VectorPool['status'] }
  | { readonly action: 'wait' }
  | { readonly action: 'done' }
  /** `status`: what takes the request back. */
  | { readonly action: 'refused'; readonly status: VectorPool['status'] }
  | { readonly action: 'absent' }
);

export function nextDrainStep(pool: VectorPool | undefined, { pool: name, pod, by, cancels }: DrainRequest): DrainStep {
  if (pool === undefined) return { action: 'absent', because: `there is no VectorPool ${name}` };
  const ordinal = ordinalOf(name, pod);
  const podCount = Math.max(pool.spec.replicas, pool.status.replicas);
  const drains = pool.status.drains ?? [];
  const present = drains.find((drain) => drain.pod === pod);
  if (present === undefined && (ordinal === undefined || ordinal >= podCount)) return { action: 'absent', because: `pool ${name} has no pod ${pod}: it has ${name}-0 to ${name}-${podCount - 1}` };
  if (cancels) {
    if (present?.request === undefined) return { action: 'done', because: `${pod} is not asked to be emptied` };
    return { action: 'write', status: withoutRequest(pool, pod), because: `the request of ${present.request} is taken back` };
  }
  if (present?.request === undefined) {
    const { phase = 'Requested', left = 0, message = 'the operator has not looked yet', total } = present ?? {};
    // What was refused is looked at anew, for whoever asks.
    const asked: Drain = { pod, request: by, phase: phase === 'Refused' ? 'Requested' : phase, left, message, ...(total === undefined ? {} : { total }) };
    return { action: 'write', status: { ...pool.status, drains: [...drains.filter((drain) => drain.pod !== pod), asked] }, because: `${pod} is asked to be emptied` };
  }
  switch (present.phase) {
    case 'Drained':
      return { action: 'done', because: `${pod} is empty; it takes no replicas until that is taken back (--cancel)` };
    case 'Refused':
      return { action: 'refused', status: withoutRequest(pool, pod), because: `${pod} is not emptied: ${present.message}` };
    default:
      return { action: 'wait', because: `${pod}: ${present.message}` };
  }
}

function withoutRequest(pool: VectorPool, pod: string): VectorPool['status'] {
  const drains = (pool.status.drains ?? []).map((drain): Drain => {
    const { request: _taken, ...rest } = drain;
    return drain.pod === pod ? rest : drain;
  });
  return { ...pool.status, drains };
}
