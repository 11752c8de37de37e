/**
 * Brings the CustomResourceDefinitions of the cluster to this version's: Helm installs them once and never changes them
 * again. Applied by the leader alone, before it works.
 */

import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep, type Clock } from '../../pods/kernel/clock.ts';
import { ShoalError } from '../../pods/kernel/errors.ts';
import { limits } from '../../pods/kernel/limits.ts';
import { readManifests } from '../../pods/kube/manifests.ts';
import type { SeenCondition } from '../observe/objects.ts';
import type { ObjectWriter } from './apply.ts';

const kind = 'CustomResourceDefinition';

export interface Schema {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly group: string };
}

/** Those of a directory of YAML files. */
export async function readSchemas(directory: string): Promise<Schema[]> {
  const files = (await readdir(directory)).filter((name) => name.endsWith('.yaml')).sort();
  const texts = await Promise.all(files.map((name) => readFile(join(directory, name), 'utf8')));
  return texts.flatMap((text) => readManifests(text)).filter((manifest) => manifest.kind === kind) as unknown as Schema[];
}

/** Resolves when the API server serves them. */
export async function applySchemas(writer: ObjectWriter, schemas: readonly Schema[], clock: Clock, signal: AbortSignal): Promise<void> {
  for (const { metadata, spec } of schemas) await writer.apply(kind, { metadata: { name: metadata.name }, spec } as object);
  for (const { metadata } of schemas) {
    for (let attempt = 0; !(await isEstablished(writer, metadata.name)); attempt++) {
      if (attempt === 100) throw new ShoalError('UNAVAILABLE', `CustomResourceDefinition ${metadata.name} does not get established`);
      await sleep(clock, limits.kubeFirstBackoffMs, signal);
    }
  }
}

async function isEstablished(writer: ObjectWriter, name: string): Promise<boolean> {
  const found = (await writer.read(kind, name)) as { status?: { conditions?: readonly SeenCondition[] } } | undefined;
  return found?.status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True') === true;
}
