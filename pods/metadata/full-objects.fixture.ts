/** Objects of each kind: with what they must have, and with every field that there is. */

import { collectionSpec } from '../domain/collection.ts';
import type { VectorCollection, VectorPool, VectorShard } from './objects.ts';

const shardSpec: VectorShard['spec'] = {
  collection: { name: 'docs', uid: '0b1c2d3e-0000-4000-8000-000000000001' },
  generation: 1,
  index: 0,
  hashRange: { start: '0000000000000000', end: 'ffffffffffffffff' },
  replicas: ['p-0', 'p-1'],
  minInSync: 1,
};
const poolSpec: VectorPool['spec'] = { replicas: 3, storage: { size: '10Gi' }, topologySpread: ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'] };
const collection: VectorCollection['spec'] = { ...collectionSpec({ name: 'my_docs', dimension: 3 }), placement: { pool: 'default' }, deletionPolicy: 'Delete' };
export const specs = { collections: collection, pools: poolSpec, shards: shardSpec };

const conditions = [
  { type: 'Ready', status: 'True', reason: 'AllShardsServe', message: '1 of 1 shards serve', observedGeneration: 1, lastTransitionTime: '2026-01-02T03:04:05Z' },
  { type: 'Degraded', status: 'False', reason: 'Whole', message: '', lastTransitionTime: '2026-01-02T03:04:05Z' },
] as const;

const resources = { requests: { cpu: '500m', memory: '2Gi' }, limits: { memory: '4Gi' } } as const;

export const fullSpecs = {
  collections: {
    ...collectionSpec({ name: 'my_docs', dimension: 3, payloadIndexes: [{ field: 'language', type: 'keyword' }] }),
    placement: { dedicated: { pods: 3, storage: '10Gi', storageClassName: 'fast', resources } },
    deletionPolicy: 'Retain',
  },
  pools: {
    ...poolSpec,
    storage: { size: '10Gi', storageClassName: 'fast' },
    resources,
    nodeSelector: { disk: 'fast' },
    tolerations: [{ key: 'dedicated', operator: 'Equal', value: 'shoal', effect: 'NoExecute', tolerationSeconds: 60 }],
  },
  shards: { ...shardSpec, leaving: ['p-1'], acceptDataLoss: { incarnation: 'i-7', term: 8 } },
} as const satisfies { collections: VectorCollection['spec']; pools: VectorPool['spec']; shards: VectorShard['spec'] };

export const fullStatus = {
  collections: { phase: 'Ready', observedGeneration: 1, shards: ['u-1', 'u-2'], routing: { epoch: 3, generation: 2 }, readyShards: 2, vectorCount: 1_234, conditions },
  pools: { observedGeneration: 1, replicas: 3, readyReplicas: 2, selector: 'shoal.dev/pool=a', operation: { id: 'o-1', pod: 'p-0', podUID: 'u-0', step: 'evict' }, drains: [{ pod: 'p-0', request: 'drain-p-0', phase: 'Draining', total: 3, left: 2, message: 'docs-1-0 is being copied to p-2' }], conditions },
  shards: {
    phase: 'Ready',
    authority: {
      term: 1,
      configVersion: 1,
      primary: { pod: 'p-0', podUID: 'u-0', incarnation: 'i-0', session: 's-0' },
      inSync: [
        { pod: 'p-0', incarnation: 'i-0' },
        { pod: 'p-1', incarnation: 'i-1' },
      ],
    },
    nonce: 'n-1',
    handover: { id: 'h-1', term: 1, to: { pod: 'p-1', incarnation: 'i-1' } },
    conditions,
  },
} as const satisfies { collections: VectorCollection['status']; pools: VectorPool['status']; shards: VectorShard['status'] };
