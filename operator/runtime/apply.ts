/**
 * How the operator writes.
 *
 *     apply        ordinary objects (StatefulSet, Service, …): server-side apply as `shoal-operator`. The API server keeps
 *                  account of who owns which field: ours are put right, those of others are left alone
 *     applyStatus  likewise one part of a status, such as one condition of a pod
 *     swap         what moves data or roles: PUT of an object with the version that was read; CONFLICT when it has changed
 *     remove       DELETE with the UID that was seen, so that a newer object of the same name stays
 *
 * Reads of `read` are linearizable. What each error says of a write is in `pods/metadata/cluster-metadata.ts`.
 */

import { isDeepStrictEqual } from 'node:util';
import { hasCode } from '../../pods/kernel/errors.ts';
import type { KubeClient } from '../../pods/kube/client.ts';
import { sameQuantity } from './quantity.ts';
import { kinds, pathOf, type KindName } from './kinds.ts';

export const fieldManager = 'shoal-operator';
const applyType = 'application/apply-patch+yaml';

export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: { readonly name?: string; readonly uid?: string; readonly resourceVersion?: string };
}

export class ObjectWriter {
  readonly #client: KubeClient;
  readonly #namespace: string;

  constructor(client: KubeClient, namespace: string) {
    this.#client = client;
    this.#namespace = namespace;
  }

  /** Undefined where there is none. */
  async read(kind: KindName, name: string): Promise<unknown> {
    return this.#client.read(pathOf(kind, this.#namespace, name));
  }

  /** The object as it is stored then. With `ifVersion`, CONFLICT unless it still has that resourceVersion. */
  async apply(kind: KindName, desired: KubeObject, { ifVersion }: { readonly ifVersion?: string | undefined } = {}): Promise<unknown> {
    const body = { ...desired, ...header(kind), metadata: { ...desired.metadata, ...(ifVersion === undefined ? {} : { resourceVersion: ifVersion }) } };
    return this.#client.write({ method: 'PATCH', path: pathOf(kind, this.#namespace, nameOf(desired)), query: { fieldManager, force: 'true' }, contentType: applyType, body });
  }

  /** Of the object with this UID: CONFLICT where it is another one by now. */
  async applyStatus(kind: KindName, { name, uid }: { readonly name: string; readonly uid: string }, status: object): Promise<unknown> {
    const body = { ...header(kind), metadata: { name, uid }, status };
    return this.#client.write({ method: 'PATCH', path: `${pathOf(kind, this.#namespace, name)}/status`, query: { fieldManager, force: 'true' }, contentType: applyType, body });
  }

  /** Makes it; CONFLICT where the name is taken. */
  async create(kind: KindName, object: KubeObject): Promise<unknown> {
    return this.#client.write({ method: 'POST', path: pathOf(kind, this.#namespace), query: { fieldManager }, body: { ...object, ...header(kind) } });
  }

  /** Compare-and-swap: `object` carries the resourceVersion that was read. */
  async swap(kind: KindName, object: KubeObject, part: '' | '/status' = ''): Promise<unknown> {
    return this.#client.write({ method: 'PUT', path: `${pathOf(kind, this.#namespace, nameOf(object))}${part}`, query: { fieldManager }, body: { ...object, ...header(kind) } });
  }

  /** POST to a subresource, such as a pod's `eviction`. */
  async post(kind: KindName, name: string, subresource: string, body: object): Promise<unknown> {
    return this.#client.write({ method: 'POST', path: `${pathOf(kind, this.#namespace, name)}/${subresource}`, body });
  }

  /** Asks for the object of this UID to go; it is well if it has gone already. `orphans`: what it owns stays. */
  async remove(kind: KindName, { name, uid }: { readonly name: string; readonly uid: string }, { orphans = false }: { readonly orphans?: boolean } = {}): Promise<void> {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid }, ...(orphans ? { propagationPolicy: 'Orphan' } : { propagationPolicy: 'Background' }) };
    try {
      await this.#client.write({ method: 'DELETE', path: pathOf(kind, this.#namespace, name), body });
    } catch (error) {
      // Gone, or another one has its name.
      if (!hasCode(error, 'CONFLICT')) throw error;
    }
  }
}

/**
 * Whether `live` has all that `desired` says, so that applying it would change nothing but perhaps a notation. Items of a
 * list are matched by the key that Kubernetes matches them by; what others have added does not count. The path of the first
 * difference where there is one.
 */
export function firstDifference(desired: unknown, live: unknown, path = ''): string | undefined {
  if (desired === undefined) return undefined;
  if (Array.isArray(desired)) return differenceOfLists(desired, live, path);
  if (typeof desired === 'object' && desired !== null) {
    if (typeof live !== 'object' || live === null) return Object.keys(desired).length === 0 && live === undefined ? undefined : path;
    for (const [key, value] of Object.entries(desired)) {
      const difference = firstDifference(value, (live as Record<string, unknown>)[key], path === '' ? key : `${path}.${key}`);
      if (difference !== undefined) return difference;
    }
    return undefined;
  }
  if (desired === live || (quantityPath.test(path) && sameQuantity(desired, live))) return undefined;
  return path;
}

/** Kubernetes writes amounts in a notation of its own. */
const quantityPath = /(^|\.)(requests|limits|capacity)\.[^.]+$/;

/** The names of objects that Kubernetes matches items of its lists by. */
const itemKeys = ['name', 'uid', 'conditionType', 'topologyKey', 'mountPath', 'port'];

function differenceOfLists(desired: readonly unknown[], live: unknown, path: string): string | undefined {
  if (!Array.isArray(live)) return desired.length === 0 && live === undefined ? undefined : path;
  for (const [index, item] of desired.entries()) {
    const key = typeof item === 'object' && item !== null ? itemKeys.find((name) => Object.hasOwn(item, name)) : undefined;
    const value = key === undefined ? undefined : (item as Record<string, unknown>)[key];
    const match: unknown = key === undefined ? live[index] : live.find((each) => isDeepStrictEqual((each as Record<string, unknown> | undefined)?.[key], value));
    const difference = firstDifference(item, match, `${path}[${key === undefined ? index : String(value)}]`);
    if (difference !== undefined) return difference;
  }
  // A list without keys is ours as a whole.
  return desired.some((item) => typeof item !== 'object') && live.length !== desired.length ? path : undefined;
}

function header(kind: KindName): { readonly apiVersion: string; readonly kind: string } {
  return { apiVersion: kinds[kind].apiVersion, kind };
}

function nameOf({ metadata }: KubeObject): string {
  const name = metadata?.name;
  if (name === undefined) throw new TypeError('an object that is written has a name');
  return name;
}
