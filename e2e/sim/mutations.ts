/**
 * How each mutation is hunted: with those faults alone under which the rule matters, in clusters of a shape that gives it
 * room. Found by trying; what catches it, and how soon, is in docs/testing.md.
 */

import type { MutationName } from '../../pods/kernel/mutations.ts';
import type { Shape } from './cluster/cluster-run.ts';
import type { FaultKind } from './cluster/faults/fault-table.ts';

export interface Hunt {
  readonly kinds: readonly FaultKind[];
  readonly shape: Partial<Shape>;
}

const crashes = ['kill', 'power loss', 'power loss of all'] as const satisfies readonly FaultKind[];
const silence = ['pause', 'pod cut off', 'pods split', 'lossy network'] as const satisfies readonly FaultKind[];
const busy = { replicas: 3, podCount: 4, clientCount: 6, meanPauseMs: 20, meanFaultIntervalMs: 800, forMs: 30_000 } satisfies Partial<Shape>;

export const hunts: Readonly<Record<MutationName, Hunt>> = {
  'acknowledge-before-all-answered': { kinds: [...crashes, ...silence], shape: busy },
  'acknowledge-before-sync': { kinds: ['power loss of all', 'power loss', 'disk slow'], shape: busy },
  'term-not-durable': { kinds: ['power loss', 'power loss of all', 'switchover', 'disk slow'], shape: { ...busy, meanFaultIntervalMs: 200, forMs: 30_000 } },
  'add-cancelled-on-same-version': { kinds: ['add lands late', 'pod cut off'], shape: { ...busy, minInSync: 1, meanFaultIntervalMs: 3_000 } },
  'restart-in-same-term': { kinds: ['power loss', 'controller crash', 'disk slow'], shape: { ...busy, meanFaultIntervalMs: 300, forMs: 30_000 } },
  'match-by-seq-only': { kinds: [...crashes, ...silence, 'disk slow'], shape: busy },
  'truncate-on-higher-term': { kinds: [...crashes, 'pause', 'switchover', 'disk slow'], shape: busy },
  'no-trim-above-no-op': { kinds: [...crashes, ...silence, 'disk slow'], shape: busy },
  'apply-before-commit': { kinds: ['power loss', 'power loss of all', 'slow network'], shape: { ...busy, meanFaultIntervalMs: 300 } },
  'min-in-sync-ignored': { kinds: ['minInSync by hand', ...silence], shape: { ...busy, minInSync: 1 } },
  'wipe-while-listed': { kinds: ['bit rot', 'kill', 'restart'], shape: busy },
  'incarnation-reused': { kinds: ['disk replaced', 'clock rate'], shape: { ...busy, clientCount: 2, meanPauseMs: 100, meanFaultIntervalMs: 4_000, forMs: 150_000 } },
  'read-round-over-in-sync-only': { kinds: ['add lands unseen', 'pod cut off'], shape: { ...busy, podCount: 3, replicas: 2, minInSync: 1, meanFaultIntervalMs: 3_000 } },
  'idempotency-not-replicated': { kinds: ['kill', 'pause', 'pods split', 'lossy network'], shape: busy },
  'write-without-version': { kinds: ['late metadata writes', 'pause', 'kill', 'pods split'], shape: { ...busy, minInSync: 1 } },
  'promote-outside-in-sync': { kinds: [...crashes, ...silence], shape: { ...busy, minInSync: 1 } },
};
