/** The data pods of a namespace as Kubernetes shows them: those with the label `shoal.dev/role=data-pod`. */

import type { KubeClient } from '../kube/client.ts';
import { CollectionWatch, type RawObject } from '../kube/collection-watch.ts';
import type { Logger } from '../kernel/logger.ts';
import type { DirectoryPod, PodDirectory } from './pod-directory.ts';

export interface KubePodDirectoryOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly logger: Logger;
}

interface RawPod extends RawObject {
  readonly metadata: RawObject['metadata'] & { readonly uid: string; readonly labels?: Readonly<Record<string, string>>; readonly annotations?: Readonly<Record<string, string>> };
  readonly spec?: { readonly nodeName?: string };
}

export const dataPodSelector = 'shoal.dev/role=data-pod';
/** An annotation with the value `true`: the pod's replicas shall move elsewhere. */
export const drainAnnotation = 'shoal.dev/drain';
/** Kubernetes 1.35 copies it from the node to the pod; before that whoever makes the pods may. */
const zoneLabel = 'topology.kubernetes.io/zone';

export class KubePodDirectory implements PodDirectory {
  readonly #client: KubeClient;
  readonly #path: string;
  readonly #watch: CollectionWatch;
  readonly #pods = new Map<string, DirectoryPod>();
  readonly #watchers = new Set<() => void>();

  constructor({ client, namespace, logger }: KubePodDirectoryOptions) {
    this.#client = client;
    this.#path = `/api/v1/namespaces/${namespace}/pods`;
    this.#watch = new CollectionWatch({ client, logger, path: this.#path, labelSelector: dataPodSelector, onChange: (name) => this.#take(name) });
  }

  list(): readonly DirectoryPod[] {
    return [...this.#pods.values()];
  }

  watch(onChange: () => void): () => void {
    this.#watchers.add(onChange);
    return () => this.#watchers.delete(onChange);
  }

  async isGone(pod: string, podUID: string): Promise<boolean> {
    const found = (await this.#client.read(`${this.#path}/${pod}`)) as RawPod | undefined;
    return found?.metadata.uid !== podUID;
  }

  close(): void {
    this.#watch.close();
    this.#watchers.clear();
  }

  #take(name: string): void {
    const found = this.#watch.get(name) as RawPod | undefined;
    if (found === undefined) this.#pods.delete(name);
    else {
      const { labels = {}, annotations = {} } = found.metadata;
      this.#pods.set(name, { name, domains: [labels[zoneLabel] ?? '', found.spec?.nodeName ?? ''], isDraining: annotations[drainAnnotation] === 'true' });
    }
    for (const watcher of this.#watchers) watcher();
  }
}
