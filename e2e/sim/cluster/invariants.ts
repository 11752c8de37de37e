/**
 * What must hold at every instant, whatever clients see (the invariants of replication). Checked over all replicas of the
 * processes that are up, again and again, over every message that is sent, and over every change of an authority.
 */

import { isDeepStrictEqual } from 'node:util';
import { crc32c } from '@node-rs/crc32';
import type { ShardAuthority, VectorShard } from '../../../pods/metadata/objects.ts';
import type { Message } from '../../../pods/replication/messages.ts';
import { Incarnations } from './incarnations.ts';
import { InvariantBroken } from './invariant-broken.ts';
import type { ReplicaInspection } from './node.ts';
import type { World } from './world.ts';

type Replica = ReplicaInspection & { readonly pod: string };

export class Invariants {
  readonly #world: World;
  /** Content by shard, seq and term, as it was sent. */
  readonly #contents = new Map<string, number>();
  /** The highest seq of each shard that a client was told of. */
  readonly #acknowledged = new Map<string, number>();
  /** The term of each seq that some replica held to be committed. */
  readonly #committedTerms = new Map<string, Map<number, number>>();
  readonly #incarnations: Incarnations;
  /** The newest authority of each shard, which a restored store may have forgotten. */
  readonly #authorities = new Map<string, ShardAuthority>();
  /** What the store says now, by shard. */
  readonly #stored = new Map<string, ShardAuthority>();
  /**
   * A restored store has let an authority go on from one that was not the newest, because none of those who knew the newer
   * one could be asked. What was acknowledged under that one may be lost: nothing is promised any more.
   */
  isForked = false;
  /** Who was in sync, by shard and configVersion. */
  readonly #configurations = new Map<string, string>();
  /** The highest term that each incarnation has answered in. */
  readonly #answeredTerm = new Map<string, number>();
  /** Primaries with too few in sync when they were looked at last. */
  readonly #tooFew = new Map<string, { readonly configVersion: number; readonly minInSync: number; readonly commitSeq: number }>();
  checkCount = 0;
  /** How often each was put to the test by something that could have broken it. */
  readonly exercised: Record<string, number> = {};

  constructor(world: World) {
    this.#world = world;
    this.#incarnations = new Incarnations(world, (what) => this.#exercise(what));
    world.network.onSend = (message) => this.#sent(message);
    world.store.onChange({
      reset: () => {
        this.#stored.clear();
        for (const { metadata, status } of world.store.list('shards')) if (status.authority !== undefined) this.#stored.set(metadata.uid, status.authority);
      },
      changed: (kind, _, object) => {
        if (kind === 'shards' && object !== undefined) this.#authorityChanged(object as VectorShard);
      },
    });
  }

  acknowledged(shardUID: string, seq: number): void {
    this.#acknowledged.set(shardUID, Math.max(seq, this.#acknowledged.get(shardUID) ?? 0));
  }

  /** Throws `InvariantBroken`. */
  check(): void {
    this.checkCount++;
    this.#incarnations.check();
    this.#checkRefusals();
    const replicas = this.#world.inspect();
    const byShard = new Map<string, Replica[]>();
    for (const replica of replicas) {
      const others = byShard.get(replica.shardUID);
      if (others === undefined) byShard.set(replica.shardUID, [replica]);
      else others.push(replica);
      this.#checkOne(replica);
    }
    for (const [shardUID, group] of byShard) {
      this.#checkPrimaries(group);
      const shard = this.#world.store.shardByUID(shardUID);
      if (shard !== undefined) this.#checkShard(shard, group);
    }
  }

  #checkOne(replica: Replica): void {
    const { commitSeq, appliedSeq, termAt } = replica;
    const answered = this.#answeredTerm.get(replica.incarnation) ?? 0;
    must(replica.quarantined || replica.term >= answered, replica, `is in term ${replica.term}; it has answered in term ${answered} before (W2)`);
    this.#checkMinInSync(replica);
    must(appliedSeq <= commitSeq, replica, `has applied seq ${appliedSeq}, but only ${commitSeq} is committed (W3)`);
    if (replica.quarantined || commitSeq === 0) return;
    const term = termAt(commitSeq);
    if (term === undefined) return;
    let terms = this.#committedTerms.get(replica.shardUID);
    if (terms === undefined) this.#committedTerms.set(replica.shardUID, (terms = new Map()));
    const known = terms.get(commitSeq);
    must(known === undefined || known === term, replica, `has seq ${commitSeq} of term ${term} committed; elsewhere it was committed in term ${known} (W3, P2)`);
    terms.set(commitSeq, term);
    this.#exercise('committed entries compared');
  }

  /** W5: as long as too few are in sync, nothing is committed. */
  #checkMinInSync(replica: Replica): void {
    const { authority, commitSeq, term } = replica;
    const key = `${replica.incarnation} ${replica.session} ${term}`;
    const before = this.#tooFew.get(key);
    if (authority === undefined || authority.inSyncCount >= authority.minInSync) return void this.#tooFew.delete(key);
    const isSame = before?.configVersion === authority.configVersion && before.minInSync === authority.minInSync;
    must(!isSame || commitSeq === before.commitSeq, replica, `has committed seq ${commitSeq} with ${authority.inSyncCount} in sync; ${authority.minInSync} are needed (W5)`);
    this.#tooFew.set(key, { configVersion: authority.configVersion, minInSync: authority.minInSync, commitSeq });
    this.#exercise('too few in sync');
  }

  #checkPrimaries(group: readonly Replica[]): void {
    const primaries = group.filter(({ role }) => role === 'primary');
    for (const one of primaries) {
      const other = primaries.find((candidate) => candidate !== one && candidate.term === one.term);
      must(other === undefined, one, `leads in term ${one.term}, and so does ${other?.pod} (W0, G1)`);
    }
    if (primaries.length > 1) this.#exercise('two primaries at once, of different terms');
  }

  #checkShard(shard: VectorShard, group: readonly Replica[]): void {
    const { authority } = shard.status;
    if (authority === undefined || this.#isRolledBack(shard.metadata.uid, authority)) return;
    const acknowledgedSeq = this.#acknowledged.get(shard.metadata.uid) ?? 0;
    for (const member of authority.inSync) {
      const replica = group.find(({ pod, incarnation }) => pod === member.pod && incarnation === member.incarnation);
      if (replica === undefined || replica.quarantined) continue;
      must(replica.durableSeq >= acknowledgedSeq, replica, `is in sync, but durable only to seq ${replica.durableSeq}; seq ${acknowledgedSeq} was acknowledged (W3)`);
      const committed = this.#committedTerms.get(shard.metadata.uid)?.get(acknowledgedSeq);
      const here = replica.termAt(acknowledgedSeq);
      if (committed !== undefined && here !== undefined) must(here === committed, replica, `is in sync, but its entry at seq ${acknowledgedSeq} is of term ${here}; that of term ${committed} was acknowledged (W3)`);
      this.#exercise('acknowledged entries found');
    }
    const primary = group.find((replica) => replica.role === 'primary' && replica.serves && replica.term === authority.term && replica.session === authority.primary.session);
    if (primary === undefined) return;
    for (const member of authority.inSync) {
      const isKnown = primary.maximalInSync.some(({ pod, incarnation }) => pod === member.pod && incarnation === member.incarnation);
      must(isKnown, primary, `leads in term ${primary.term} without waiting for ${member.pod}, which is in sync (W3, A1)`);
    }
    if (primary.maximalInSync.length !== authority.inSync.length) this.#exercise('primary waits for more members than are in sync');
  }

  /** Rule G1 guards against mistakes: correct code asks for nothing that it refuses. */
  #checkRefusals(): void {
    const { refusals, wasRestored } = this.#world.store;
    // A version that was given twice lets a request through that was made for the other content.
    if (refusals.length > 0 && !wasRestored) throw new InvariantBroken(`the metadata store had to refuse a change: ${refusals[0]} (W4, G1)`);
  }

  /** W4: no change of an authority undoes another one. */
  #authorityChanged({ metadata, status }: VectorShard): void {
    const { authority } = status;
    if (authority === undefined) return;
    const [newest, before] = [this.#authorities.get(metadata.uid), this.#stored.get(metadata.uid)];
    this.#stored.set(metadata.uid, authority);
    const wasRolledBack = newest !== undefined && before !== undefined && !isDeepStrictEqual(newest, before);
    if (wasRolledBack && !isDeepStrictEqual(authority, before) && !isDeepStrictEqual(authority, newest) && this.#world.store.wasRestored) this.isForked = true;
    if (this.#isRolledBack(metadata.uid, authority)) return;
    this.#authorities.set(metadata.uid, authority);
    if (this.#world.store.wasRestored) return;
    const key = `${metadata.uid} ${authority.configVersion}`;
    const members = authority.inSync.map(({ pod, incarnation }) => `${pod}/${incarnation.slice(0, 4)}`).sort().join(' ');
    const known = this.#configurations.get(key);
    if (known !== undefined && known !== members) this.#fail(`configVersion ${authority.configVersion} of ${metadata.name} names ${members}, and named ${known} before (W4)`);
    this.#configurations.set(key, members);
  }

  /** A store that was restored from a backup says who was in sync once: nothing follows from that. Nothing else goes back. */
  #isRolledBack(shardUID: string, { term, configVersion }: ShardAuthority): boolean {
    const newest = this.#authorities.get(shardUID);
    if (newest === undefined || (newest.term <= term && newest.configVersion <= configVersion)) return false;
    if (!this.#world.store.wasRestored) this.#fail(`the authority of shard ${shardUID.slice(0, 8)} goes back from term ${newest.term}, configVersion ${newest.configVersion} to ${term}, ${configVersion} (W4)`);
    return true;
  }

  /** (term, seq) names one content; what was answered is remembered. */
  #sent({ shardUID, body, from, term: messageTerm }: Message): void {
    if (body.kind === 'report' || body.kind === 'stored' || body.kind === 'checked') {
      this.#answeredTerm.set(from.incarnation, Math.max(messageTerm, this.#answeredTerm.get(from.incarnation) ?? 0));
    }
    if (body.kind !== 'append') return;
    for (const { seq, term, payload } of body.entries) {
      const key = `${shardUID} ${seq} ${term}`;
      const content = crc32c(payload);
      const known = this.#contents.get(key);
      if (known === undefined) this.#contents.set(key, content);
      else if (known !== content) this.#fail(`${from.pod} sends another content for seq ${seq} of term ${term} of ${shardUID.slice(0, 8)} than was sent before (W0, W1)`);
    }
  }

  /** From within a callback, whose caller is not to blame. */
  #fail(what: string): void {
    this.#world.scheduler.fail(new InvariantBroken(what));
  }

  #exercise(what: string): void {
    this.exercised[what] = (this.exercised[what] ?? 0) + 1;
  }
}

function must(holds: boolean, { pod, shardUID }: Replica, what: string): void {
  if (!holds) throw new InvariantBroken(`${pod} (shard ${shardUID.slice(0, 8)}) ${what}`);
}
