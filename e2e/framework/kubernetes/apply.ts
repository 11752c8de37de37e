/** `kubectl apply` for what the suites need: creates the objects of YAML files, or replaces what is there. */

import { readFile } from 'node:fs/promises';
import { loadAll } from 'js-yaml';
import type { KubeClient } from '../../../pods/kube/client.ts';
import { eventually, timeoutsMs } from '../timeouts.ts';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly annotations?: Readonly<Record<string, string>> };
}

interface ApiResource {
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** In order; a CustomResourceDefinition is waited for until its objects can be made. */
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
  const present = (await admin.read(`${path}/${metadata.name}`)) as { metadata: { resourceVersion: string } } | undefined;
  if (present === undefined) await admin.write({ method: 'POST', path, body: manifest });
  else {
    const body = { ...manifest, metadata: { ...metadata, resourceVersion: present.metadata.resourceVersion } };
    await admin.write({ method: 'PUT', path: `${path}/${metadata.name}`, body });
  }
  if (kind === 'CustomResourceDefinition') await established(admin, `${path}/${metadata.name}`);
}

async function established(admin: KubeClient, path: string): Promise<void> {
  await eventually(timeoutsMs.request, `${path} to be established`, async () => {
    const { status } = (await admin.read(path)) as { status?: { conditions?: readonly { type: string; status: string }[] } };
    return status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True') === true ? true : undefined;
  });
}
