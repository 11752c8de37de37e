/**
 * Aim: the API server itself keeps rule G1. Whoever writes, and however, the authority of a shard changes only as the
 * protocol allows (the rules in crds/vectorshards.yaml); a data pod writes only the status of a shard that it leads, never
 * who leads it (RBAC and the admission policy of the chart, with real tokens bound to pods).
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { systemClock } from '../../../pods/kernel/clock.ts';
import { ShoalError, type ErrorCode } from '../../../pods/kernel/errors.ts';
import { systemRandom } from '../../../pods/kernel/random.ts';
import { KubeClient } from '../../../pods/kube/client.ts';
import { kubeEndpoint } from '../../../pods/kube/endpoint.ts';
import { cases } from '../../../pods/metadata/authority-rules.cases.ts';
import type { KubeMetadata } from '../../../pods/metadata/kube-metadata.ts';
import { shardFinalizer, type ShardAuthority, type VectorShard } from '../../../pods/metadata/objects.ts';
import { type Manifest } from '../../framework/kubernetes/apply.ts';
import { dataPodServiceAccount, shoalManifests, startKubernetes, type Kubernetes, type PodIdentity } from '../../framework/kubernetes/kubernetes.ts';
import { metadataOf, namespaceFor } from '../../framework/kubernetes/metadata.ts';
import { eventually, timeoutsMs } from '../../framework/timeouts.ts';

const namespace = 'default';
const shardsPath = `/apis/shoal.dev/v1alpha1/namespaces/${namespace}/vectorshards`;
const mergePatch = 'application/merge-patch+json';
const jsonPatch = 'application/json-patch+json';

let kubernetes: Kubernetes;
/** The objects that the cases of the table begin with, as they are stored. */
const olds = new Map<string, string>();

before(async () => {
  kubernetes = await startKubernetes();
  // What the table begins with is written while there are no rules, as if it had come about by many allowed steps.
  const manifests = await shoalManifests();
  const definition = manifests.find(({ metadata }) => metadata.name === 'vectorshards.shoal.dev')!;
  await kubernetes.apply(withoutRules(definition) as Manifest);
  for (const [number, { name, old }] of cases.entries()) {
    olds.set(name, `case-${number}`);
    const body = { apiVersion: 'shoal.dev/v1alpha1', kind: 'VectorShard', metadata: { name: `case-${number}` }, spec: old.spec };
    const { metadata } = (await kubernetes.admin.write({ method: 'POST', path: shardsPath, body })) as VectorShard;
    await kubernetes.admin.write({ method: 'PUT', path: `${shardsPath}/case-${number}/status`, body: { ...body, metadata, status: old.status } });
  }
  await kubernetes.apply(...manifests);
  await rulesInForce();
});
after(() => kubernetes.close());

describe('transitions, by the administrator', () => {
  for (const { rule, name, old, new: next, allowed } of cases) {
    test(`${rule}: ${name} is ${allowed ? 'allowed' : 'refused'}`, async (t) => {
      const { shards } = await metadataOf(t, kubernetes.kubeconfig);
      const stored = (await shards.get(olds.get(name)!))!;
      assert.deepEqual([stored.spec, stored.status], [old.spec, old.status]);
      const wanted = { ...stored, spec: next.spec, status: next.status };
      const write = isDeepStrictEqual(old.spec, next.spec) ? shards.replaceStatus(wanted) : shards.replace(wanted);
      await expectOutcome(write, allowed ? 'allowed' : 'INVALID_ARGUMENT', /G1|W5/);
      const found = (await shards.get(stored.metadata.name))!;
      const { spec, status } = allowed ? next : old;
      assert.deepEqual([found.spec, found.status], [spec, status]);
    });
  }
});

describe('ways around the rules, by the administrator', () => {
  const ways: readonly [string, (shard: VectorShard, admin: KubeClient) => Promise<unknown>][] = [
    ['status: null in a PUT of the status', (shard, admin) => put(admin, shard, '/status', { status: null })],
    ['no status in a PUT of the status', (shard, admin) => put(admin, shard, '/status', {})],
    ['an empty status', (shard, admin) => put(admin, shard, '/status', { status: {} })],
    ['authority: null', (shard, admin) => put(admin, shard, '/status', { status: { phase: 'Ready', authority: null } })],
    ['a merge patch of the status to null', (shard, admin) => patch(admin, shard, '/status', mergePatch, { status: null })],
    ['a merge patch that takes the authority away', (shard, admin) => patch(admin, shard, '/status', mergePatch, { status: { authority: null } })],
    ['a JSON patch that takes the status away', (shard, admin) => patch(admin, shard, '/status', jsonPatch, [{ op: 'remove', path: '/status' }])],
    ['a JSON patch that takes the authority away', (shard, admin) => patch(admin, shard, '/status', jsonPatch, [{ op: 'remove', path: '/status/authority' }])],
    ['a JSON patch of the term alone', (shard, admin) => patch(admin, shard, '/status', jsonPatch, [{ op: 'replace', path: '/status/authority/term', value: 7 }])],
    ['nobody in sync', (shard, admin) => patch(admin, shard, '/status', mergePatch, { status: { authority: { inSync: [], configVersion: 2 } } })],
    ['one pod in sync twice', (shard, admin) => patch(admin, shard, '/status', jsonPatch, [{ op: 'add', path: '/status/authority/inSync/-', value: { pod: 'pod-b', incarnation: 'again' } }])],
    ['the whole spec taken away', (shard, admin) => put(admin, shard, '', { spec: null })],
  ];
  for (const [name, way] of ways) {
    test(`G1: ${name} is refused`, async (t) => {
      const shard = await newShard(await metadataOf(t, kubernetes.kubeconfig), { pod: 'pod-a', podUID: 'uid-a' });
      await expectOutcome(way(shard, kubernetes.admin), 'INVALID_ARGUMENT', /G1|inSync|spec/);
      assert.deepEqual(await read(shard), shard.status);
    });
  }

  test('G1: a status given at creation, or beside the spec, is not taken', async (t) => {
    const shard = await newShard(await metadataOf(t, kubernetes.kubeconfig), { pod: 'pod-a', podUID: 'uid-a' });
    await put(kubernetes.admin, shard, '', { spec: { ...shard.spec, leaving: ['pod-b'] }, status: {} });
    assert.deepEqual(await read(shard), shard.status);
    const body = { apiVersion: 'shoal.dev/v1alpha1', kind: 'VectorShard', metadata: { name: 'born-with-status' }, spec: shard.spec, status: shard.status };
    await kubernetes.admin.write({ method: 'POST', path: shardsPath, body });
    assert.equal(await read({ ...shard, metadata: { ...shard.metadata, name: 'born-with-status' } }), undefined);
  });

  test('B1: a shard with its finalizer stays until the operator takes that away', async (t) => {
    const metadata = await metadataOf(t, kubernetes.kubeconfig);
    const shard = await newShard(metadata, { pod: 'pod-a', podUID: 'uid-a' });
    await metadata.shards.delete(shard.metadata.name, shard.metadata.resourceVersion);
    const deleting = (await metadata.shards.get(shard.metadata.name))!;
    assert.deepEqual(deleting.status, shard.status);
    await metadata.shards.replace({ ...deleting, metadata: { ...deleting.metadata, finalizers: [] } });
    assert.equal(await metadata.shards.get(shard.metadata.name), undefined);
  });
});

type Outcome = 'allowed' | ErrorCode;
type Change = (authority: ShardAuthority) => ShardAuthority;

const memberB = { pod: 'pod-b', incarnation: 'incarnation-pod-b' };
const memberC = { pod: 'pod-c', incarnation: 'incarnation-pod-c' };

describe('the primary, by its own token', () => {
  const changes: readonly [name: string, outcome: Outcome, change: Change][] = [
    ['W4: removes a member', 'allowed', (old) => ({ ...old, inSync: old.inSync.slice(0, 1), configVersion: old.configVersion + 1 })],
    ['A1: adds a member', 'allowed', (old) => ({ ...old, inSync: [...old.inSync, memberC], configVersion: old.configVersion + 1 })],
    ['W5: replaces a member', 'allowed', (old) => ({ ...old, inSync: [old.inSync[0]!, memberC], configVersion: old.configVersion + 1 })],
    ['G1: removes a member without a new configVersion', 'INVALID_ARGUMENT', (old) => ({ ...old, inSync: old.inSync.slice(0, 1) })],
    ['G1: takes the next term', 'PERMISSION_DENIED', (old) => ({ ...old, term: 2 })],
    ['G1: takes the next term in a new session', 'PERMISSION_DENIED', (old) => ({ ...old, term: 2, primary: { ...old.primary, session: 'later' } })],
    ['G1: makes another member the primary', 'PERMISSION_DENIED', (old) => ({ ...old, term: 2, primary: { ...memberB, podUID: 'uid-pod-b', session: 's' } })],
    ['G1: changes its session in the same term', 'INVALID_ARGUMENT', (old) => ({ ...old, primary: { ...old.primary, session: 'later' } })],
  ];
  for (const [name, outcome, change] of changes) {
    test(`${name}: ${outcome}`, async (t) => {
      const { metadata, shard } = await led(t, 'pod-a');
      const status = { ...shard.status, authority: change(shard.status.authority!) };
      await expectOutcome(metadata.shards.replaceStatus({ ...shard, status }), outcome);
      assert.deepEqual(await read(shard), outcome === 'allowed' ? status : shard.status);
    });
  }

  test('A1, S1: moves the version by its nonce, and asks for a handover: allowed', async (t) => {
    const { metadata, shard } = await led(t, 'pod-a');
    const status = { ...shard.status, nonce: 'n', handover: { id: 'h', term: 1, to: memberB } };
    assert.deepEqual((await metadata.shards.replaceStatus({ ...shard, status })).status, status);
  });

  test('G1: takes the authority away: INVALID_ARGUMENT', async (t) => {
    const { metadata, shard } = await led(t, 'pod-a');
    await expectOutcome(metadata.shards.replaceStatus({ ...shard, status: { phase: 'Ready' } }), 'INVALID_ARGUMENT');
    assert.deepEqual(await read(shard), shard.status);
  });

  test('W4: writes over a version that it has not read: CONFLICT', async (t) => {
    const { metadata, shard } = await led(t, 'pod-a');
    const status = { ...shard.status, nonce: 'n' };
    await metadata.shards.replaceStatus({ ...shard, status });
    await expectOutcome(metadata.shards.replaceStatus({ ...shard, status: { ...status, nonce: 'm' } }), 'CONFLICT');
  });

  const forbidden: readonly [name: string, (client: KubeClient, shard: VectorShard) => Promise<unknown>][] = [
    ['makes a shard', (client, { spec }) => client.write({ method: 'POST', path: shardsPath, body: { apiVersion: 'shoal.dev/v1alpha1', kind: 'VectorShard', metadata: { name: 'own' }, spec } })],
    ['deletes its shard', (client, { metadata: { name } }) => client.write({ method: 'DELETE', path: `${shardsPath}/${name}` })],
    ['deletes all shards', (client) => client.write({ method: 'DELETE', path: shardsPath })],
    ['changes the spec', (client, shard) => put(client, shard, '', { spec: { ...shard.spec, minInSync: 1 } })],
    ['takes the finalizer away', (client, shard) => put(client, { ...shard, metadata: { ...shard.metadata, finalizers: [] } }, '', { spec: shard.spec })],
    ['patches the status without a version', (client, shard) => patch(client, shard, '/status', mergePatch, { status: { nonce: 'n' } })],
    ['patches the status with a version', (client, shard) => patch(client, shard, '/status', mergePatch, { metadata: { resourceVersion: shard.metadata.resourceVersion }, status: { nonce: 'n' } })],
    ['patches the spec', (client, shard) => patch(client, shard, '', mergePatch, { spec: { minInSync: 1 } })],
    ['applies the status server-side', (client, shard) => patch(client, shard, '/status?fieldManager=pod', 'application/apply-patch+yaml', { apiVersion: 'shoal.dev/v1alpha1', kind: 'VectorShard', status: { nonce: 'n' } })],
  ];
  for (const [name, write] of forbidden) {
    test(`G1: ${name}: PERMISSION_DENIED`, async (t) => {
      const { client, shard } = await led(t, 'pod-a');
      await expectOutcome(write(client, shard), 'PERMISSION_DENIED');
      assert.deepEqual(await read(shard), shard.status);
    });
  }

  test('G1: cannot take the finalizer away beside the status', async (t) => {
    const { metadata, shard } = await led(t, 'pod-a');
    const written = await metadata.shards.replaceStatus({ ...shard, metadata: { ...shard.metadata, finalizers: [] }, status: { ...shard.status, nonce: 'n' } });
    assert.deepEqual(written.metadata.finalizers, [shardFinalizer]);
  });
});

describe('others than the primary', () => {
  const nonced = (shard: VectorShard): VectorShard => ({ ...shard, status: { ...shard.status, nonce: 'n' } });

  test('G1: another pod: PERMISSION_DENIED', async (t) => {
    const { shard } = await led(t, 'pod-a');
    const other = await metadataOf(t, (await kubernetes.podToken('pod-b')).kubeconfig);
    assert.deepEqual((await other.shards.get(shard.metadata.name))!.status, shard.status, 'it may read');
    await expectOutcome(other.shards.replaceStatus(nonced(shard)), 'PERMISSION_DENIED');
  });

  test('G1: a pod of the same name that came later: PERMISSION_DENIED, and the old one is nobody', async (t) => {
    const { metadata, shard, identity } = await led(t, 'pod-short');
    await kubernetes.admin.write({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}/pods/pod-short`, query: { gracePeriodSeconds: '0' } });
    const later = await kubernetes.podToken('pod-short');
    assert.notEqual(later.podUID, identity.podUID);
    await expectOutcome((await metadataOf(t, later.kubeconfig)).shards.replaceStatus(nonced(shard)), 'PERMISSION_DENIED');
    await eventually(timeoutsMs.request, 'the old token to be refused', async () => {
      const outcome = await metadata.shards.replaceStatus(nonced((await (await metadataOf(t, kubernetes.kubeconfig)).shards.get(shard.metadata.name))!)).then(String, codeOf);
      return outcome === 'UNAUTHENTICATED' ? true : undefined;
    });
  });

  test('G1: a pod writes the first authority, naming itself: PERMISSION_DENIED', async (t) => {
    const { metadata, identity } = await led(t, 'pod-a');
    const admin = await metadataOf(t, kubernetes.kubeconfig);
    const empty = await admin.shards.create({ metadata: { name: `empty-${Math.random().toString(36).slice(2)}`, labels: {} }, spec: specFor('pod-a') });
    await expectOutcome(metadata.shards.replaceStatus({ ...empty, status: { phase: 'Ready', authority: authorityOf({ pod: 'pod-a', podUID: identity.podUID }) } }), 'PERMISSION_DENIED');
  });

  test('G1: a token of the service account that is bound to no pod: PERMISSION_DENIED', async (t) => {
    const { shard } = await led(t, 'pod-a');
    const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3_600 } };
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${dataPodServiceAccount}/token`;
    const { status } = (await kubernetes.admin.write({ method: 'POST', path, body: request })) as { status: { token: string } };
    const unbound = await metadataOf(t, await kubernetes.kubeconfigFor(status.token));
    await expectOutcome(unbound.shards.replaceStatus(nonced(shard)), 'PERMISSION_DENIED');
  });

  test('G1: a pod of another service account may not even read', async (t) => {
    const { shard } = await led(t, 'pod-a');
    const stranger = await metadataOf(t, (await kubernetes.podToken('stranger', { serviceAccount: 'somebody' })).kubeconfig);
    await expectOutcome(stranger.shards.get(shard.metadata.name), 'PERMISSION_DENIED');
    await expectOutcome(stranger.shards.replaceStatus(nonced(shard)), 'PERMISSION_DENIED');
  });

  test('with a token that nobody gave: UNAUTHENTICATED', async (t) => {
    const { shard } = await led(t, 'pod-a');
    await expectOutcome((await metadataOf(t, await kubernetes.kubeconfigFor('nobody'))).shards.replaceStatus(nonced(shard)), 'UNAUTHENTICATED');
  });
});

describe('the policy holds where RBAC gives too much', () => {
  let everywhere: string;
  before(async () => {
    everywhere = await namespaceFor(kubernetes);
    const subjects = [namespace, everywhere].map((of) => ({ kind: 'ServiceAccount', name: dataPodServiceAccount, namespace: of }));
    const binding = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRoleBinding', metadata: { name: 'too-much' }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' }, subjects };
    await kubernetes.apply(binding as Manifest);
  });
  after(() => kubernetes.admin.write({ method: 'DELETE', path: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/too-much' }));

  const writes: readonly [name: string, (client: KubeClient, shard: VectorShard) => Promise<unknown>][] = [
    ['makes a shard', (client, { spec }) => client.write({ method: 'POST', path: shardsPath, body: { apiVersion: 'shoal.dev/v1alpha1', kind: 'VectorShard', metadata: { name: 'own' }, spec } })],
    ['deletes its shard', (client, { metadata: { name } }) => client.write({ method: 'DELETE', path: `${shardsPath}/${name}` })],
    ['changes the spec', (client, shard) => put(client, shard, '', { spec: { ...shard.spec, minInSync: 1 } })],
    ['patches the finalizer away', (client, shard) => patch(client, shard, '', mergePatch, { metadata: { finalizers: null } })],
    ['patches the term', (client, shard) => patch(client, shard, '/status', mergePatch, { status: { authority: { term: 2 } } })],
  ];
  for (const [name, write] of writes) {
    test(`G1: the primary ${name}: PERMISSION_DENIED`, async (t) => {
      const { client, shard } = await led(t, 'pod-a');
      await allowedTo(client, 'pods');
      await expectOutcome(write(client, shard), 'PERMISSION_DENIED', /G1/);
      assert.deepEqual(await read(shard), shard.status);
    });
  }

  test('G1: a pod of this name and UID in another namespace: PERMISSION_DENIED', async (t) => {
    const identity = await kubernetes.podToken('pod-a', { namespace: everywhere });
    const shard = await newShard(await metadataOf(t, kubernetes.kubeconfig), { pod: 'pod-a', podUID: identity.podUID });
    const client = await clientOf(identity);
    await allowedTo(client, 'pods');
    await expectOutcome(put(client, shard, '/status', { status: { ...shard.status, nonce: 'n' } }), 'PERMISSION_DENIED', /own namespace/);
  });
});

/** A shard that the pod of this name leads, seen with the pod's own rights. */
async function led(t: Parameters<typeof metadataOf>[0], pod: string): Promise<{ metadata: KubeMetadata; client: KubeClient; shard: VectorShard; identity: PodIdentity }> {
  const identity = await kubernetes.podToken(pod);
  const shard = await newShard(await metadataOf(t, kubernetes.kubeconfig), { pod, podUID: identity.podUID });
  return { metadata: await metadataOf(t, identity.kubeconfig), client: await clientOf(identity), shard, identity };
}

async function clientOf({ kubeconfig }: PodIdentity): Promise<KubeClient> {
  return new KubeClient({ endpoint: await kubeEndpoint({ kubeconfig }), clock: systemClock, random: systemRandom });
}

let shardCount = 0;

async function newShard({ shards }: KubeMetadata, primary: { pod: string; podUID: string }): Promise<VectorShard> {
  const created = await shards.create({ metadata: { name: `shard-${++shardCount}`, labels: {}, finalizers: [shardFinalizer] }, spec: specFor(primary.pod) });
  return shards.replaceStatus({ ...created, status: { phase: 'Ready', authority: authorityOf(primary) } });
}

function specFor(pod: string): VectorShard['spec'] {
  return {
    collection: { name: 'docs', uid: '0b1c2d3e-0000-4000-8000-000000000001' },
    generation: 1,
    index: 0,
    hashRange: { start: '0000000000000000', end: 'ffffffffffffffff' },
    replicas: [pod, memberB.pod, memberC.pod],
    minInSync: 1,
  };
}

function authorityOf({ pod, podUID }: { pod: string; podUID: string }): ShardAuthority {
  const incarnation = `incarnation-${pod}`;
  return { term: 1, configVersion: 1, primary: { pod, podUID, incarnation, session: 's-1' }, inSync: [{ pod, incarnation }, memberB] };
}

/** The status as it is stored. */
async function read({ metadata: { name } }: VectorShard): Promise<unknown> {
  return ((await kubernetes.admin.read(`${shardsPath}/${name}`)) as { status?: unknown }).status;
}

function put(client: KubeClient, { metadata: { name, resourceVersion, finalizers }, spec }: VectorShard, subresource: '' | '/status', content: object): Promise<unknown> {
  const body = { apiVersion: 'shoal.dev/v1alpha1', kind: 'VectorShard', metadata: { name, resourceVersion, finalizers }, spec, ...content };
  return client.write({ method: 'PUT', path: `${shardsPath}/${name}${subresource}`, body });
}

function patch(client: KubeClient, { metadata: { name } }: VectorShard, subresource: string, contentType: string, body: unknown): Promise<unknown> {
  const [path = '', query = ''] = subresource.split('?');
  return client.write({ method: 'PATCH', path: `${shardsPath}/${name}${path}`, query: Object.fromEntries(new URLSearchParams(query)), contentType, body });
}

async function expectOutcome(write: Promise<unknown>, outcome: Outcome, message = /(?:)/): Promise<void> {
  const error = await write.then(() => undefined, (reason: unknown) => reason);
  assert.equal(error === undefined ? 'allowed' : codeOf(error), outcome, String(error));
  if (error !== undefined) assert.match((error as Error).message, message);
}

function codeOf(error: unknown): string {
  return error instanceof ShoalError ? error.code : String(error);
}

/** RBAC learns of a binding a moment after it was made. */
async function allowedTo(client: KubeClient, resource: string): Promise<void> {
  await eventually(timeoutsMs.request, `the right to read ${resource}`, () => client.read(`/api/v1/${resource}`).catch(() => undefined));
}

/** The API server takes up changed schemas and policies a moment after they were stored. */
async function rulesInForce(): Promise<void> {
  const { admin } = kubernetes;
  const probe = `${shardsPath}/${olds.get(cases.find(({ name }) => name === 'authority removed')!.name)!}`;
  await eventually(timeoutsMs.request, 'the rules', async () => {
    const code = await admin.write({ method: 'PATCH', path: `${probe}/status`, query: { dryRun: 'All' }, contentType: mergePatch, body: { status: null } }).then(String, codeOf);
    return code === 'INVALID_ARGUMENT' ? true : undefined;
  });
  const pod = await kubernetes.podToken('probe');
  const client = await clientOf(pod);
  const shard = (await admin.read(probe)) as VectorShard;
  await eventually(timeoutsMs.request, 'the policy', async () => {
    const body = { ...shard, status: { ...shard.status, nonce: 'n' } };
    const outcome = await client.write({ method: 'PUT', path: `${probe}/status`, query: { dryRun: 'All' }, body }).then(String, (error: Error) => error.message);
    return /not the shard's primary/.test(outcome) ? true : undefined;
  });
}

/** A schema with its types alone. */
function withoutRules(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutRules);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== 'x-kubernetes-validations').map(([name, part]) => [name, withoutRules(part)]));
}
