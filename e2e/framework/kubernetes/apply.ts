/** `kubectl apply` for what the suites need: creates the objects of YAML files, or replaces what is there. */

import { readFile } from 'node:fs/promises';
import { loadAll } from 'js-yaml';
import { hasCode } from '../../../pods/kernel/errors.ts';
import type { KubeClient } from '../../../pods/kube/client.ts';
import { eventually, timeoutsMs } from '../timeouts.ts';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly annotations?: Readonly<Record<string, string>> };
}

interface Binding extends Manifest {
  readonly roleRef: { readonly kind: 'Role' | 'ClusterRole'; readonly name: string };
  readonly subjects: readonly { readonly kind: string; readonly name: string; readonly namespace?: string }[];
}

interface PolicyRule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

interface ApiResource {
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** In order; a CustomResourceDefinition is waited for until its objects can be made, a binding until it gives its rights. */
export async function applyManifests(admin: KubeClient, sources: readonly (string | Manifest)[]): Promise<void> {
  for (const source of sources) {
    const manifests = typeof source === 'string' ? (loadAll(await readFile(source, 'utf8')) as Manifest[]) : [source];
    for (const manifest of manifests) await applyOne(admin, manifest);
  }
}

/** The object of this kind and name as it is stored. */
export async function storedObject(admin: KubeClient, manifest: Manifest): Promise<unknown> {
  return admin.read(`${await collectionPath(admin, manifest)}/${manifest.metadata.name}`);
}

async function collectionPath(admin: KubeClient, { apiVersion, kind, metadata }: Manifest): Promise<string> {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const { resources } = (await admin.read(root)) as { resources: readonly ApiResource[] };
  const resource = resources.find((each) => each.kind === kind && !each.name.includes('/'));
  if (resource === undefined) throw new Error(`the API server knows no ${kind} in ${apiVersion}`);
  return `${root}${resource.namespaced ? `/namespaces/${metadata.namespace ?? 'default'}` : ''}/${resource.name}`;
}

async function applyOne(admin: KubeClient, manifest: Manifest): Promise<void> {
  const { kind, metadata } = manifest;
  const path = await collectionPath(admin, manifest);
  // The API server's own controllers write the status of a schema, and so its version.
  await eventually(timeoutsMs.request, `${kind} ${metadata.name} to be taken`, () => store(admin, path, manifest).then(() => true, unlessConflict));
  if (kind === 'CustomResourceDefinition') await established(admin, `${path}/${metadata.name}`);
  if (kind === 'RoleBinding' || kind === 'ClusterRoleBinding') await inForce(admin, manifest as Binding);
}

async function store(admin: KubeClient, path: string, manifest: Manifest): Promise<void> {
  const { metadata } = manifest;
  const present = (await admin.read(`${path}/${metadata.name}`)) as { metadata: { resourceVersion: string } } | undefined;
  if (present === undefined) return void (await admin.write({ method: 'POST', path, body: manifest }));
  const body = { ...manifest, metadata: { ...metadata, resourceVersion: present.metadata.resourceVersion } };
  await admin.write({ method: 'PUT', path: `${path}/${metadata.name}`, body });
}

function unlessConflict(error: unknown): undefined {
  if (!hasCode(error, 'CONFLICT')) throw error;
}

async function established(admin: KubeClient, path: string): Promise<void> {
  await eventually(timeoutsMs.request, `${path} to be established`, async () => {
    const { status } = (await admin.read(path)) as { status?: { conditions?: readonly { type: string; status: string }[] } };
    return status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True') === true ? true : undefined;
  });
}

/** The API server looks up rights in what it has watched: a moment after a binding was stored it may not know it. */
async function inForce(admin: KubeClient, { metadata: { namespace = 'default' }, kind, roleRef, subjects }: Binding): Promise<void> {
  const root = '/apis/rbac.authorization.k8s.io/v1';
  const role = (await admin.read(`${root}${roleRef.kind === 'Role' ? `/namespaces/${namespace}/roles` : '/clusterroles'}/${roleRef.name}`)) as { rules?: readonly PolicyRule[] } | undefined;
  const rule = role?.rules?.find(({ resources }) => resources !== undefined);
  if (rule === undefined) return;
  const [path, name] = [rule.resources![0]!, rule.resourceNames?.[0]];
  const [resource, subresource] = path.split('/');
  const resourceAttributes = { ...(kind === 'RoleBinding' ? { namespace } : {}), group: rule.apiGroups?.[0] ?? '', resource, subresource, name, verb: rule.verbs[0] };
  for (const subject of subjects.filter((each) => each.kind === 'ServiceAccount')) {
    const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec: { user: `system:serviceaccount:${subject.namespace ?? namespace}:${subject.name}`, resourceAttributes } };
    await eventually(timeoutsMs.request, `the right of ${subject.name} to ${rule.verbs[0]} ${path}`, async () => {
      const { status } = (await admin.write({ method: 'POST', path: '/apis/authorization.k8s.io/v1/subjectaccessreviews', body })) as { status: { allowed: boolean } };
      return status.allowed ? true : undefined;
    });
  }
}
