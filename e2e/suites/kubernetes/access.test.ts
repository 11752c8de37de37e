/**
 * Aim: each process has the rights that it needs and no other; nobody may patch collections and shards, none reaches into
 * another namespace, and what has no namespace is for the operator alone.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { shoalManifests, startKubernetes, type Kubernetes } from '../../framework/kubernetes/kubernetes.ts';

let kubernetes: Kubernetes;
before(async () => {
  kubernetes = await startKubernetes();
  await kubernetes.apply(...(await shoalManifests()));
});
after(() => kubernetes.close());

const verbs = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'] as const;
const read = ['get', 'list', 'watch'];

/** Groups of resources that somebody might want to touch, with those of them that have a namespace. */
const groups: Readonly<Record<string, readonly string[]>> = {
  'shoal.dev': ['vectorcollections', 'vectorcollections/status', 'vectorcollections/finalizers', 'vectorpools', 'vectorpools/status', 'vectorpools/scale', 'vectorpools/finalizers', 'vectorshards', 'vectorshards/status', 'vectorshards/finalizers'],
  '': ['pods', 'pods/status', 'pods/eviction', 'pods/exec', 'pods/portforward', 'services', 'secrets', 'configmaps', 'serviceaccounts', 'serviceaccounts/token', 'persistentvolumeclaims', 'events', 'nodes', 'namespaces', 'persistentvolumes'],
  apps: ['statefulsets', 'statefulsets/status', 'statefulsets/scale', 'deployments', 'daemonsets'],
  batch: ['jobs'],
  policy: ['poddisruptionbudgets'],
  'coordination.k8s.io': ['leases'],
  'storage.k8s.io': ['storageclasses'],
  'apiextensions.k8s.io': ['customresourcedefinitions'],
  'rbac.authorization.k8s.io': ['roles', 'rolebindings', 'clusterroles', 'clusterrolebindings'],
  'admissionregistration.k8s.io': ['validatingadmissionpolicies', 'validatingadmissionpolicybindings', 'validatingwebhookconfigurations', 'mutatingwebhookconfigurations'],
};
const all = Object.entries(groups).flatMap(([group, resources]) => resources.map((resource) => ({ group, resource })));

type Rights = Readonly<Record<string, readonly string[]>>;

/** In the namespace of the installation; of what has no namespace, everywhere. */
const rights: Readonly<Record<string, Rights>> = {
  'shoal-pod': { vectorcollections: read, vectorshards: read, 'vectorshards/status': ['update'] },
  'shoal-gateway': { vectorcollections: [...read, 'create', 'update', 'delete'], vectorshards: read },
  'shoal-drain': { vectorpools: ['get'], 'vectorpools/status': ['update'] },
  'shoal-operator': {
    vectorcollections: [...read, 'create', 'update'],
    'vectorcollections/status': ['update'],
    'vectorcollections/finalizers': ['update'],
    vectorpools: [...read, 'create', 'update', 'patch', 'delete'],
    'vectorpools/status': ['update'],
    'vectorpools/finalizers': ['update'],
    vectorshards: [...read, 'create', 'update', 'delete'],
    'vectorshards/status': ['update'],
    pods: read,
    'pods/status': ['patch'],
    'pods/eviction': ['create'],
    services: [...read, 'create', 'patch', 'delete'],
    secrets: ['create'],
    persistentvolumeclaims: [...read, 'patch', 'delete'],
    events: ['create', 'patch'],
    nodes: read,
    statefulsets: [...read, 'create', 'patch', 'delete'],
    jobs: read,
    poddisruptionbudgets: [...read, 'create', 'patch', 'delete'],
    leases: ['get', 'create', 'update'],
    storageclasses: read,
  },
};

test('every account of the chart is looked at', async () => {
  const accounts = (await shoalManifests()).filter(({ kind }) => kind === 'ServiceAccount').map(({ metadata }) => metadata.name);
  assert.deepEqual(accounts.sort(), Object.keys(rights).sort());
});

const withoutNamespace = ['nodes', 'storageclasses'];

for (const [account, expected] of Object.entries(rights)) {
  test(`${account} has its rights and no other`, async () => {
    assert.deepEqual(await rightsOf(account, 'default'), expected);
    assert.deepEqual(await rightsOf(account, 'kube-system'), Object.fromEntries(Object.entries(expected).filter(([resource]) => withoutNamespace.includes(resource))));
  });

  test(`${account} may read ${account === 'shoal-operator' ? 'the Secrets of the internal certificates' : 'no Secret'}`, async () => {
    const internal = ['shoal-internal-ca', 'shoal-pod-internal-tls', 'shoal-gateway-internal-tls', 'shoal-operator-internal-tls'];
    const found = await Promise.all([...internal, 'shoal-api-keys', 'others'].map(async (name) => [name, (await allowed(account, { namespace: 'default', group: '', resource: 'secrets', name })).filter((verb) => verb !== 'create')]));
    const expectedVerbs = account === 'shoal-operator' ? ['get', 'update'] : [];
    assert.deepEqual(Object.fromEntries(found), Object.fromEntries([...internal.map((name) => [name, expectedVerbs]), ['shoal-api-keys', []], ['others', []]]));
  });

  test(`${account} may touch no schema but ${account === 'shoal-operator' ? 'those of the project, which it may not delete' : 'none'}`, async () => {
    for (const name of ['vectorcollections.shoal.dev', 'vectorpools.shoal.dev', 'vectorshards.shoal.dev']) {
      const expectedVerbs = account === 'shoal-operator' ? ['get', 'patch'] : [];
      assert.deepEqual(await allowed(account, { group: 'apiextensions.k8s.io', resource: 'customresourcedefinitions', name }), expectedVerbs);
    }
    assert.deepEqual(await allowed(account, { group: 'apiextensions.k8s.io', resource: 'customresourcedefinitions', name: 'others.example.com' }), []);
  });
}

async function rightsOf(account: string, namespace: string): Promise<Rights> {
  const found = await Promise.all(all.map(async ({ group, resource }) => [resource, await allowed(account, { namespace, group, resource })] as const));
  return Object.fromEntries(found.filter(([, granted]) => granted.length > 0));
}

async function allowed(account: string, { resource: path, ...where }: { readonly namespace?: string; readonly group: string; readonly resource: string; readonly name?: string }): Promise<string[]> {
  const [resource, subresource] = path.split('/');
  const answers = await Promise.all(
    verbs.map(async (verb) => {
      const resourceAttributes = { ...where, verb, resource, ...(subresource === undefined ? {} : { subresource }) };
      const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec: { user: `system:serviceaccount:default:${account}`, resourceAttributes } };
      const review = await kubernetes.admin.write({ method: 'POST', path: '/apis/authorization.k8s.io/v1/subjectaccessreviews', body });
      return (review as { status: { allowed: boolean } }).status.allowed ? [verb] : [];
    }),
  );
  return answers.flat();
}
