/**
 * Which replicas this pod holds: shard UID → local number and incarnation (rule F1: an incarnation belongs to one
 * replica, is made with its number, and numbers are never used again). Kept in the store under the reserved number 0:
 *
 *     next                the number that is handed out next
 *     replica/<shardUID>  the replica of that shard
 *     garbage/<number>    nobody's data may be under this number, and is to be deleted
 *
 * A replica is replaced by one whose data comes from another pod in two steps. `reserve` hands out a number that is
 * garbage until, its data being durable, `replace` makes it the shard's replica and the number before it garbage, in one
 * batch. So after a crash the pod holds either of them, and nothing that nobody would delete.
 */

import assert from 'node:assert/strict';
import { ShoalError } from '../kernel/errors.ts';
import { noMutations, type Mutations } from '../kernel/mutations.ts';
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
const garbagePrefix = 'garbage/';
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class ReplicaRegistry {
  readonly #store: KeyValueStore;
  readonly #random: Random;
  readonly #mutations: Mutations;
  readonly #entries = new Map<string, RegisteredReplica>();
  readonly #garbage = new Set<number>();
  /** Numbers that are being filled, which are no garbage as long as this process lives. */
  readonly #reserved = new Set<number>();
  #nextNumber = registryReplica + 1;
  #lastChange: Promise<unknown> = Promise.resolve();

  static async open(store: KeyValueStore, random: Random, mutations: Mutations = noMutations): Promise<ReplicaRegistry> {
    const registry = new ReplicaRegistry(store, random, mutations);
    for await (const slice of store.scan(keySpace(registryReplica, 'meta').span)) {
      for (const { key, value } of slice) {
        const name = decoder.decode(decodeKey(key).suffix);
        const stored: unknown = JSON.parse(decoder.decode(value));
        if (name === nextNumberName) registry.#nextNumber = stored as number;
        else if (name.startsWith(garbagePrefix)) registry.#garbage.add(Number(name.slice(garbagePrefix.length)));
        else if (name.startsWith(entryPrefix)) registry.#entries.set(name.slice(entryPrefix.length), stored as RegisteredReplica);
      }
    }
    // After a kill an entry may have been read that no flush has made durable yet; a term must not be granted to it before.
    await store.flush();
    return registry;
  }

  private constructor(store: KeyValueStore, random: Random, mutations: Mutations) {
    this.#mutations = mutations;
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

  /** A number and an incarnation for a replica that will take the place of the one here, if any. Durable when it resolves. */
  reserve(shardUID: string, collectionUID: string): Promise<RegisteredReplica> {
    return this.#inOrder(async () => {
      const localReplica = this.#nextNumber;
      await this.#store.write([
        { kind: 'put', key: metaKey(nextNumberName), value: encoder.encode(JSON.stringify(localReplica + 1)) },
        { kind: 'put', key: metaKey(`${garbagePrefix}${localReplica}`), value: encoder.encode('true') },
      ]);
      await this.#store.flush();
      this.#nextNumber = localReplica + 1;
      this.#garbage.add(localReplica);
      this.#reserved.add(localReplica);
      const kept = this.#mutations.has('incarnation-reused') ? this.#entries.get(shardUID)?.incarnation : undefined;
      return { shardUID, collectionUID, localReplica, incarnation: kept ?? this.#random.uuid() };
    });
  }

  /** The number will not be filled after all: its data is garbage at once. */
  giveUp({ localReplica }: RegisteredReplica): void {
    this.#reserved.delete(localReplica);
  }

  /**
   * Makes a reserved replica, all of whose data is durable, that of its shard; the one before becomes garbage. Durable when
   * it resolves. OUTCOME_UNKNOWN when the store failed: then the process has to end, since a restart may find either.
   */
  replace(replica: RegisteredReplica): Promise<void> {
    return this.#inOrder(async () => {
      const { shardUID, localReplica } = replica;
      assert(this.#reserved.has(localReplica), `number ${localReplica} is not reserved`);
      const before = this.#entries.get(shardUID)?.localReplica;
      try {
        await this.#store.write([
          { kind: 'put', key: metaKey(entryPrefix + shardUID), value: encoder.encode(JSON.stringify(replica)) },
          { kind: 'delete', key: metaKey(`${garbagePrefix}${localReplica}`) },
          ...(before === undefined ? [] : [{ kind: 'put', key: metaKey(`${garbagePrefix}${before}`), value: encoder.encode('true') } as const]),
        ]);
        await this.#store.flush();
      } catch (cause) {
        throw new ShoalError('OUTCOME_UNKNOWN', `which replica of shard ${shardUID} is registered is not known: the store failed`, { cause });
      }
      this.#entries.set(shardUID, replica);
      this.#garbage.delete(localReplica);
      this.#reserved.delete(localReplica);
      if (before !== undefined) this.#garbage.add(before);
    });
  }

  /** Numbers whose data is to be deleted. */
  garbage(): readonly number[] {
    return [...this.#garbage].filter((localReplica) => !this.#reserved.has(localReplica));
  }

  /** Nothing is left under the number; to be said only once the deletion is sure to outlive this note. */
  cleaned(localReplica: number): Promise<void> {
    return this.#inOrder(async () => {
      await this.#store.write([{ kind: 'delete', key: metaKey(`${garbagePrefix}${localReplica}`) }]);
      this.#garbage.delete(localReplica);
    });
  }

  /** The shard has no replica here any more: what it holds is garbage. Durable when it resolves; the number stays used. */
  remove(shardUID: string): Promise<void> {
    return this.#inOrder(async () => {
      const entry = this.#entries.get(shardUID);
      if (entry === undefined) return;
      await this.#store.write([
        { kind: 'delete', key: metaKey(entryPrefix + shardUID) },
        { kind: 'put', key: metaKey(`${garbagePrefix}${entry.localReplica}`), value: encoder.encode('true') },
      ]);
      await this.#store.flush();
      this.#entries.delete(shardUID);
      this.#garbage.add(entry.localReplica);
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
