/** A shard's object as its replicas see it: read and compared-and-swapped by PUT of the whole status alone (rules W4, G1). */

import { ShoalError } from '../kernel/errors.ts';
import type { Mutations } from '../kernel/mutations.ts';
import type { Random } from '../kernel/random.ts';
import type { ObjectStore } from '../metadata/cluster-metadata.ts';
import type { VectorShard } from '../metadata/objects.ts';
import type { Authority, AuthorityStore } from '../replication/authority.ts';
import type { MemberId } from '../replication/messages.ts';

export function authorityOf({ metadata, spec, status }: VectorShard): Authority | undefined {
  if (status.authority === undefined) return undefined;
  const { minInSync, replicas, leaving = [] } = spec;
  return { ...status.authority, minInSync, replicas, leaving, resourceVersion: metadata.resourceVersion };
}

export class ShardAuthorityStore implements AuthorityStore {
  readonly #shards: ObjectStore<VectorShard>;
  readonly #objectName: string;
  readonly #shardUID: string;
  readonly #random: Random;
  readonly #mutations: Mutations;
  /** The newest read: what a compare-and-swap changes. */
  #known: VectorShard | undefined;

  constructor(shards: ObjectStore<VectorShard>, objectName: string, shardUID: string, random: Random, mutations: Mutations) {
    this.#shards = shards;
    this.#objectName = objectName;
    this.#shardUID = shardUID;
    this.#random = random;
    this.#mutations = mutations;
  }

  /** Rule S1: the primary of `term` asks to be relieved. */
  async askHandover(term: number): Promise<void> {
    await this.read();
    const known = this.#known;
    if (known?.status.authority?.term !== term || known.status.handover?.term === term) return;
    this.#known = await this.#shards.replaceStatus({ ...known, status: { ...known.status, handover: { id: this.#random.uuid(), term } } });
  }

  /** Taken from a read that somebody else made. */
  learn(shard: VectorShard): void {
    this.#known = shard;
  }

  async read(): Promise<Authority | undefined> {
    const shard = await this.#shards.get(this.#objectName);
    if (shard?.metadata.uid !== this.#shardUID) return undefined;
    this.#known = shard;
    return authorityOf(shard);
  }

  async compareAndSwap(change: { readonly resourceVersion: string; readonly inSync?: readonly MemberId[]; readonly configVersion: number }): Promise<Authority> {
    const isUnconditional = this.#mutations.has('write-without-version');
    const known = this.#known;
    const authority = known?.status.authority;
    if (known === undefined || authority === undefined || (known.metadata.resourceVersion !== change.resourceVersion && !isUnconditional)) {
      throw new ShoalError('CONFLICT', `the object of shard ${this.#shardUID} was read again since`);
    }
    const { inSync, configVersion } = change;
    const status = inSync === undefined ? { ...known.status, nonce: this.#random.uuid() } : { ...known.status, authority: { ...authority, inSync, configVersion } };
    const metadata = isUnconditional ? { ...known.metadata, resourceVersion: '' } : known.metadata;
    const stored = await this.#shards.replaceStatus({ ...known, metadata, status });
    this.#known = stored;
    return authorityOf(stored)!;
  }
}
