/**
 * Which replicas this pod holds: shard UID → local number and incarnation (rule F1: an incarnation belongs to one
 * replica, is made with its number, and numbers are never used again). Kept in the store under the reserved number 0.
 */

import type { Random } from '../kernel/random.ts';
import { decodeKey, keySpace, keyWithBytes } from '../storage/keys.ts';
import type { KeyValueStore } from '../storage/key-value-store.ts';

export interface RegisteredReplica {
  readonly shardUID: string;
  readonly collectionUID: string;
  readonly localReplica: number;
  readonly incarnation: string;
}

const registryReplica = 0;
const nextNumberName = 'next';
const entryPrefix = 'replica/';
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class ReplicaRegistry {
  readonly #store: KeyValueStore;
  readonly #random: Random;
  readonly #entries = new Map<string, RegisteredReplica>();
  #nextNumber = registryReplica + 1;
  #lastChange: Promise<unknown> = Promise.resolve();

  static async open(store: KeyValueStore, random: Random): Promise<ReplicaRegistry> {
    const registry = new ReplicaRegistry(store, random);
    for await (const slice of store.scan(keySpace(registryReplica, 'meta').span)) {
      for (const { key, value } of slice) {
        const name = decoder.decode(decodeKey(key).suffix);
        const stored: unknown = JSON.parse(decoder.decode(value));
        if (name === nextNumberName) registry.#nextNumber = stored as number;
        else if (name.startsWith(entryPrefix)) registry.#entries.set(name.slice(entryPrefix.length), stored as RegisteredReplica);
      }
    }
    // After a kill an entry may have been read that no flush has made durable yet; a term must not be granted to it before.
    await store.flush();
    return registry;
  }

  private constructor(store: KeyValueStore, random: Random) {
    this.#store = store;
    this.#random = random;
  }

  all(): readonly RegisteredReplica[] {
    return [...this.#entries.values()];
  }

  find(shardUID: string): RegisteredReplica | undefined {
    return this.#entries.get(shardUID);
  }

  /** Durable when it resolves. */
  add(shardUID: string, collectionUID: string): Promise<RegisteredReplica> {
    return this.#inOrder(async () => {
      const localReplica = this.#nextNumber;
      const entry: RegisteredReplica = { shardUID, collectionUID, localReplica, incarnation: this.#random.uuid() };
      await this.#store.write([
        { kind: 'put', key: metaKey(nextNumberName), value: encoder.encode(JSON.stringify(localReplica + 1)) },
        { kind: 'put', key: metaKey(entryPrefix + shardUID), value: encoder.encode(JSON.stringify(entry)) },
      ]);
      await this.#store.flush();
      this.#nextNumber = localReplica + 1;
      this.#entries.set(shardUID, entry);
      return entry;
    });
  }

  /** Durable when it resolves; the number stays used. */
  remove(shardUID: string): Promise<void> {
    return this.#inOrder(async () => {
      await this.#store.write([{ kind: 'delete', key: metaKey(entryPrefix + shardUID) }]);
      await this.#store.flush();
      this.#entries.delete(shardUID);
    });
  }

  #inOrder<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#lastChange.then(change);
    this.#lastChange = result.catch(() => undefined);
    return result;
  }
}

function metaKey(name: string): Uint8Array {
  return keyWithBytes(registryReplica, 'meta', encoder.encode(name));
}
