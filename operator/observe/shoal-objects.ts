/** Our own objects as the watch of `ClusterMetadata` knows them: to search and to reconcile by, never to decide upon what must not be wrong. */

import type { ObjectStore, StoredObject } from '../../pods/metadata/cluster-metadata.ts';

/** `now` or `before` is undefined where the object came or went. */
export type ShoalChange<T> = (name: string, now: T | undefined, before: T | undefined) => void;

export class ShoalObjects<T extends StoredObject> {
  readonly #store: ObjectStore<T>;
  readonly #known = new Map<string, T>();
  readonly #listeners = new Set<ShoalChange<T>>();
  readonly #unwatch: () => void;

  constructor(store: ObjectStore<T>) {
    this.#store = store;
    this.#unwatch = store.watch((name) => this.#take(name));
  }

  get(name: string): T | undefined {
    return this.#known.get(name);
  }

  list(): T[] {
    return [...this.#known.values()];
  }

  /** Whether everything was listed, and is being kept up. */
  get isFresh(): boolean {
    return this.#store.isFresh();
  }

  /** Calls `listener` for each object that is known, and for each change; returns what ends it. */
  onChange(listener: ShoalChange<T>): () => void {
    for (const [name, object] of this.#known) listener(name, object, undefined);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#unwatch();
    this.#listeners.clear();
  }

  #take(name: string): void {
    const before = this.#known.get(name);
    const now = this.#store.peek(name);
    if (now === undefined) this.#known.delete(name);
    else this.#known.set(name, now);
    if (now === undefined && before === undefined) return;
    if (now?.metadata.resourceVersion === before?.metadata.resourceVersion) return;
    for (const listener of this.#listeners) listener(name, now, before);
  }
}
