/** Aim: the objects of a pool are what docs/operator.md promises, and what cannot change does not. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SeenStatefulSet } from '../observe/objects.ts';
import { podOptions, poolObject } from './desired.fixture.ts';
import { fingerprinted, whyApply } from './fingerprint.ts';
import { dataPodsService, poolDisruptionBudget, poolStatefulSet } from './pool-objects.ts';

const labels = {
  'shoal.dev/role': 'data-pod',
  'shoal.dev/pool': 'p',
  'app.kubernetes.io/managed-by': 'shoal-operator',
  'app.kubernetes.io/name': 'shoal',
  'app.kubernetes.io/component': 'data-pod',
};
const selector = { 'shoal.dev/role': 'data-pod', 'shoal.dev/pool': 'p' };
const owner = { apiVersion: 'shoal.dev/v1alpha1', kind: 'VectorPool', name: 'p', uid: 'uid-p' };

test('a StatefulSet', () => {
  const { metadata, spec } = poolStatefulSet(poolObject('p', { storage: { size: '10Gi', storageClassName: 'fast' }, resources: { requests: { cpu: '1' } } }), podOptions, 3, undefined);
  const { template, ...rest } = spec!;
  assert.deepEqual(metadata, { name: 'p', labels, ownerReferences: [{ ...owner, controller: true, blockOwnerDeletion: true }] });
  assert.deepEqual(rest, {
    replicas: 3,
    serviceName: 'shoal-pods',
    updateStrategy: { type: 'OnDelete' },
    podManagementPolicy: 'Parallel',
    persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
    selector: { matchLabels: selector },
    volumeClaimTemplates: [
      {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { name: 'data', labels: selector },
        spec: { accessModes: ['ReadWriteOncePod'], resources: { requests: { storage: '10Gi' } }, storageClassName: 'fast' },
      },
    ],
  });
  assert.deepEqual(template.metadata, { labels });
  const { containers, volumes, topologySpreadConstraints, ...pod } = template.spec!;
  assert.deepEqual(pod, {
    serviceAccountName: 'shoal-pod',
    automountServiceAccountToken: true,
    enableServiceLinks: false,
    shareProcessNamespace: true,
    terminationGracePeriodSeconds: 120,
    readinessGates: [{ conditionType: 'shoal.dev/in-sync' }],
    securityContext: { runAsNonRoot: true, runAsUser: 65_532, runAsGroup: 65_532, fsGroup: 65_532, fsGroupChangePolicy: 'OnRootMismatch', seccompProfile: { type: 'RuntimeDefault' } },
  });
  assert.deepEqual(topologySpreadConstraints!.map(({ topologyKey, maxSkew }) => [topologyKey, maxSkew]), [['topology.kubernetes.io/zone', 1], ['kubernetes.io/hostname', 1]]);
  assert.deepEqual(volumes, [{ name: 'tmp', emptyDir: {} }, { name: 'internal-tls', secret: { secretName: 'shoal-pod-internal-tls', defaultMode: 0o440 } }]);
  const [container] = containers;
  assert.deepEqual(container!.args, ['pod']);
  assert.deepEqual(container!.resources, { requests: { cpu: '1' } });
  assert.deepEqual(container!.securityContext, { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } });
  assert.deepEqual(container!.volumeMounts!.map(({ name, mountPath }) => [name, mountPath]), [['data', '/data'], ['tmp', '/tmp'], ['internal-tls', '/etc/shoal/internal-tls']]);
});

test('what a pod is told agrees with the options of `shoal pod`', async () => {
  const { podOptions: known } = await import('../../pods/kernel/config.ts');
  const variables = new Set<string>(Object.values(known).flatMap(({ variables: each }) => [...each]));
  const { containers } = poolStatefulSet(poolObject('p'), podOptions, 1, undefined).spec!.template.spec!;
  assert.deepEqual(containers[0]!.env!.map(({ name }) => name).filter((name) => !variables.has(name)), []);
});

test('claim templates stay what they are, whatever the pool wants', () => {
  const live = {
    metadata: { name: 'p', uid: 'u', resourceVersion: '1' },
    spec: { replicas: 5, template: { spec: {} }, volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'old', resources: { requests: { storage: '5Gi' } }, volumeMode: 'Filesystem' } }] },
  } as unknown as SeenStatefulSet;
  const made = poolStatefulSet(poolObject('p', { storage: { size: '20Gi' } }), podOptions, 4, live);
  assert.equal(made.spec!.replicas, 4);
  assert.deepEqual(made.spec!.volumeClaimTemplates![0]!.spec, { accessModes: ['ReadWriteOnce'], storageClassName: 'old', resources: { requests: { storage: '5Gi' } } });
});

test('one Service for all pools, which goes with the last of them', () => {
  const { metadata, spec } = dataPodsService([poolObject('q'), poolObject('p')]);
  assert.deepEqual(metadata!.ownerReferences, [owner, { ...owner, name: 'q', uid: 'uid-q' }]);
  assert.deepEqual([spec!.clusterIP, spec!.publishNotReadyAddresses, spec!.selector], ['None', true, { 'shoal.dev/role': 'data-pod' }]);
});

test('a disruption budget lets one pod go at a time', () => {
  assert.deepEqual(poolDisruptionBudget(poolObject('p')).spec, { maxUnavailable: 1, selector: { matchLabels: selector } });
});

test('why an object is applied', () => {
  const desired = fingerprinted(poolDisruptionBudget(poolObject('p')));
  const { spec, metadata } = desired;
  const cases: readonly [unknown, string | undefined][] = [
    [undefined, 'it is missing'],
    [{ metadata: { ...metadata, resourceVersion: '7' }, spec: { ...spec, unhealthyPodEvictionPolicy: 'IfHealthyBudget' }, status: {} }, undefined],
    [{ metadata, spec: { ...spec, maxUnavailable: 2 } }, 'spec.maxUnavailable is not as desired'],
    [{ metadata: { ...metadata, labels: {} }, spec }, 'metadata.labels.shoal.dev/role is not as desired'],
    // A field that was wanted before is still there, which only the hash tells.
    [{ metadata: { ...metadata, annotations: { 'shoal.dev/applied': 'other' } }, spec }, 'what is desired has changed'],
  ];
  for (const [live, why] of cases) assert.equal(whyApply(desired, live as Parameters<typeof whyApply>[1]), why);
});
