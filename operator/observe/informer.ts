/**
 * An informer: the objects of one kind that concern the operator, kept up by a list and a watch, at no cost to look at.
 * What it knows may be old, so it is searched and reconciled by; whatever must not be wrong is read anew.
 */

import type { Logger } from '../../pods/kernel/logger.ts';
import type { KubeClient } from '../../pods/kube/client.ts';
import { CollectionWatch, type RawObject } from '../../pods/kube/collection-watch.ts';

export interface InformerOptions {
  readonly client: KubeClient;
  readonly logger: Logger;
  readonly path: string;
  readonly labelSelector?: string;
}

/** `now` or `before` is undefined where the object came or went. */
export type ObjectChange<T> = (name: string, now: T | undefined, before: T | undefined) => void;

export class Informer<T extends RawObject> {
  readonly #watch: CollectionWatch;
  readonly #seen = new Map<string, T>();
  readonly #listeners = new Set<ObjectChange<T>>();
  readonly #listed: Promise<void>;

  constructor({ client, logger, path, labelSelector }: InformerOptions) {
    let listed = (): void => undefined;
    this.#listed = new Promise((resolve) => (listed = resolve));
    this.#watch = new CollectionWatch({
      client,
      logger,
      path,
      ...(labelSelector === undefined ? {} : { labelSelector }),
      onChange: (name) => this.#take(name),
      onListed: () => listed(),
    });
  }

  get(name: string): T | undefined {
    return this.#seen.get(name);
  }

  list(): T[] {
    return [...this.#seen.values()];
  }

  /** Resolves when everything was listed once. */
  get listed(): Promise<void> {
    return this.#listed;
  }

  get hasListed(): boolean {
    return this.#watch.hasListed;
  }

  /** Whether what it knows is being kept up. */
  get isFresh(): boolean {
    return this.#watch.isFresh;
  }

  /** Calls `listener` for each object that is known, and for each change; returns what ends it. */
  onChange(listener: ObjectChange<T>): () => void {
    for (const [name, object] of this.#seen) listener(name, object, undefined);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#watch.close();
    this.#listeners.clear();
  }

  #take(name: string): void {
    const before = this.#seen.get(name);
    const now = this.#watch.get(name) as T | undefined;
    if (now?.metadata.resourceVersion === before?.metadata.resourceVersion && now !== undefined) return;
    if (now === undefined) this.#seen.delete(name);
    else this.#seen.set(name, now);
    for (const listener of this.#listeners) listener(name, now, before);
  }
}
