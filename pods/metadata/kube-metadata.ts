/**
 * `ClusterMetadata` in the Kubernetes API: the custom resources of `crds/`, in one namespace.
 *
 * Every write is a PUT with the resourceVersion that was read, so that it is a compare-and-swap; there is no patch. The
 * status has a path of its own. What an object carries that this version does not know stays in it.
 */

import { KubeClient } from '../kube/client.ts';
import { CollectionWatch, listAll, type RawObject } from '../kube/collection-watch.ts';
import type { KubeEndpoint } from '../kube/endpoint.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Random } from '../kernel/random.ts';
import type { ClusterMetadata, NewObject, ObjectStore, StoredObject } from './cluster-metadata.ts';
import { initialStatus, type ObjectMetadata, type VectorCollection, type VectorPool, type VectorShard } from './objects.ts';

export const objectGroup = 'shoal.dev';
export const objectVersion = 'v1alpha1';

export interface KubeMetadataOptions {
  readonly endpoint: KubeEndpoint;
  /** The endpoint's unless said. */
  readonly namespace?: string;
  /** Which shards are watched and seen by `peek`: `name=value,…`; `get` and `list` see all. */
  readonly shardSelector?: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly timeoutMs?: number;
  /** Called before each write; what it throws is thrown instead of sending it. */
  readonly beforeWrite?: () => void;
}

export interface KubeMetadata extends ClusterMetadata {
  /** Ends the watches and closes the connections. */
  close(): void;
}

export function openKubeMetadata(options: KubeMetadataOptions): KubeMetadata {
  const client = new KubeClient(options);
  const collections = new KubeObjectStore<VectorCollection>(client, options, 'collections');
  const pools = new KubeObjectStore<VectorPool>(client, options, 'pools');
  const shards = new KubeObjectStore<VectorShard>(client, options, 'shards', options.shardSelector);
  return {
    collections,
    pools,
    shards,
    close() {
      for (const store of [collections, pools, shards]) store.close();
      options.endpoint.agent.destroy();
    },
  };
}

type Kind = keyof ClusterMetadata;

const resources: Readonly<Record<Kind, { readonly kind: string; readonly plural: string }>> = {
  collections: { kind: 'VectorCollection', plural: 'vectorcollections' },
  pools: { kind: 'VectorPool', plural: 'vectorpools' },
  shards: { kind: 'VectorShard', plural: 'vectorshards' },
};

class KubeObjectStore<T extends StoredObject> implements ObjectStore<T> {
  readonly #client: KubeClient;
  readonly #logger: Logger;
  readonly #kind: Kind;
  readonly #path: string;
  readonly #labelSelector: string | undefined;
  readonly #watchers = new Set<(name: string) => void>();
  /** From the first watcher on. */
  #watch: CollectionWatch | undefined;

  constructor(client: KubeClient, { endpoint, namespace = endpoint.namespace, logger }: KubeMetadataOptions, kind: Kind, labelSelector?: string) {
    this.#client = client;
    this.#logger = logger;
    this.#kind = kind;
    this.#path = `/apis/${objectGroup}/${objectVersion}/namespaces/${namespace}/${resources[kind].plural}`;
    this.#labelSelector = labelSelector;
  }

  async get(name: string): Promise<T | undefined> {
    // Without a resourceVersion the API server answers what a quorum of etcd has.
    const found = await this.#client.read(`${this.#path}/${name}`);
    return found === undefined ? undefined : this.#decode(found);
  }

  async list(): Promise<readonly T[]> {
    const { items } = await listAll(this.#client, this.#path);
    return items.map((item) => this.#decode(item));
  }

  peek(name: string): T | undefined {
    const found = this.#watch?.get(name);
    return found === undefined ? undefined : this.#decode(found);
  }

  isFresh(): boolean {
    return this.#watch?.isFresh ?? false;
  }

  async create({ metadata, ...content }: NewObject<T>): Promise<T> {
    return this.#decode(await this.#client.write({ method: 'POST', path: this.#path, body: this.#encode({ ...metadata }, content) }));
  }

  async replace({ metadata, spec }: T): Promise<T> {
    return this.#decode(await this.#client.write({ method: 'PUT', path: `${this.#path}/${metadata.name}`, body: this.#encode(writable(metadata), { spec }) }));
  }

  async replaceStatus({ metadata, spec, status }: T): Promise<T> {
    return this.#decode(await this.#client.write({ method: 'PUT', path: `${this.#path}/${metadata.name}/status`, body: this.#encode(writable(metadata), { spec, status }) }));
  }

  async delete(name: string, resourceVersion: string): Promise<void> {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { resourceVersion } };
    await this.#client.write({ method: 'DELETE', path: `${this.#path}/${name}`, body });
  }

  watch(onChange: (name: string) => void): () => void {
    this.#watchers.add(onChange);
    this.#watch ??= new CollectionWatch({
      client: this.#client,
      logger: this.#logger,
      path: this.#path,
      ...(this.#labelSelector === undefined ? {} : { labelSelector: this.#labelSelector }),
      onChange: (name) => this.#watchers.forEach((watcher) => watcher(name)),
    });
    return () => this.#watchers.delete(onChange);
  }

  close(): void {
    this.#watch?.close();
    this.#watchers.clear();
  }

  #encode(metadata: object, content: object): unknown {
    return { apiVersion: `${objectGroup}/${objectVersion}`, kind: resources[this.#kind].kind, metadata, ...content };
  }

  #decode(raw: unknown): T {
    const { metadata, spec, status } = raw as { metadata: RawMetadata; spec: unknown; status?: object };
    return { metadata: decodeMetadata(metadata), spec, status: { ...initialStatus[this.#kind], ...status } } as unknown as T;
  }
}

interface RawMetadata extends Omit<RawObject['metadata'], 'name'> {
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: ObjectMetadata['ownerReferences'];
}

function decodeMetadata({ name, uid, resourceVersion, generation, creationTimestamp, deletionTimestamp, labels, annotations, finalizers, ownerReferences }: RawMetadata): ObjectMetadata {
  return {
    name,
    uid,
    resourceVersion,
    generation,
    creationTimestampMs: Date.parse(creationTimestamp),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestampMs: Date.parse(deletionTimestamp) }),
    labels: labels ?? {},
    ...(annotations === undefined ? {} : { annotations }),
    finalizers: finalizers ?? [],
    ...(ownerReferences === undefined ? {} : { ownerReferences }),
  };
}

/** What a PUT says of the metadata: the identity and version to compare with, and all that it would take away if it left it out. */
function writable({ name, uid, resourceVersion, labels, annotations, finalizers, ownerReferences }: ObjectMetadata): object {
  return {
    name,
    uid,
    resourceVersion,
    labels,
    finalizers,
    ...(annotations === undefined ? {} : { annotations }),
    ...(ownerReferences === undefined ? {} : { ownerReferences }),
  };
}
