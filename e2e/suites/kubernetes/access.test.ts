/** Aim: each process has the rights that it needs and no other; nobody may patch, and none reaches into another namespace. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { shoalManifests, startKubernetes, type Kubernetes } from '../../framework/kubernetes/kubernetes.ts';

let kubernetes: Kubernetes;
before(async () => {
  kubernetes = await startKubernetes();
  await kubernetes.apply(...shoalManifests);
});
after(() => kubernetes.close());

const verbs = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'] as const;
const resources = ['vectorcollections', 'vectorcollections/status', 'vectorpools', 'vectorpools/status', 'vectorshards', 'vectorshards/status', 'pods', 'secrets'] as const;
const read = ['get', 'list', 'watch'];

const rights: Readonly<Record<string, Partial<Record<(typeof resources)[number], readonly string[]>>>> = {
  'shoal-pod': { vectorcollections: read, vectorshards: read, 'vectorshards/status': ['update'] },
  'shoal-gateway': { vectorcollections: [...read, 'create', 'update', 'delete'], vectorshards: read },
  'shoal-controller': {
    vectorcollections: [...read, 'create', 'update'],
    'vectorcollections/status': ['update'],
    vectorshards: [...read, 'create', 'update', 'delete'],
    'vectorshards/status': ['update'],
    pods: read,
  },
};

for (const [account, expected] of Object.entries(rights)) {
  test(`${account} has its rights and no other`, async () => {
    const found = await Promise.all(resources.map(async (resource) => [resource, await allowed(account, 'default', resource)] as const));
    assert.deepEqual(Object.fromEntries(found), Object.fromEntries(resources.map((resource) => [resource, expected[resource] ?? []])));
    for (const resource of resources) assert.deepEqual(await allowed(account, 'kube-system', resource), [], `${resource} in another namespace`);
  });
}

async function allowed(account: string, namespace: string, resource: string): Promise<string[]> {
  const [name, subresource] = resource.split('/');
  const group = name!.startsWith('vector') ? 'shoal.dev' : '';
  const answers = await Promise.all(
    verbs.map(async (verb) => {
      const attributes = { namespace, verb, group, resource: name, ...(subresource === undefined ? {} : { subresource }) };
      const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec: { user: `system:serviceaccount:default:${account}`, resourceAttributes: attributes } };
      const review = await kubernetes.admin.write({ method: 'POST', path: '/apis/authorization.k8s.io/v1/subjectaccessreviews', body });
      return (review as { status: { allowed: boolean } }).status.allowed ? [verb] : [];
    }),
  );
  return answers.flat();
}
