/**
 * A cluster for the controller's tests: local metadata on a simulated disk, simulated time, and pods that do what real ones
 * do with the objects, without data: open and remove replicas, lead, let members in and out.
 */

import assert from 'node:assert/strict';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { collectionSpec, type CollectionInput } from '../domain/collection.ts';
import type { PodReport, PodService, ReplicaReport } from '../domain/pod-service.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import { faultyFileSystem } from '../kernel/faulty-file-system.ts';
import { silentLogger } from '../kernel/logger.ts';
import { seededRandom } from '../kernel/random.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import { openLocalMetadata } from '../metadata/local-metadata.ts';
import { isDeleting, type ShardAuthority, type VectorCollection, type VectorShard } from '../metadata/objects.ts';
import { PodList, type DirectoryPod } from './pod-directory.ts';
import { ShardController, type ShardControllerOptions } from './shard-controller.ts';

export class TestPod {
  readonly name: string;
  readonly replicas = new Map<string, ReplicaReport>();
  session = '';
  /** What happens to calls: answered, refused at once, or never answered. */
  state: 'up' | 'down' | 'hung' = 'down';
  stoppedCount = 0;
  readonly #cluster: TestCluster;
  #starts = 0;

  constructor(cluster: TestCluster, name: string) {
    this.#cluster = cluster;
    this.name = name;
    this.start();
  }

  start(): void {
    this.session = `${this.name}-${++this.#starts}`;
    this.state = 'up';
    for (const [uid, replica] of this.replicas) this.replicas.set(uid, { ...replica, role: 'waiting' });
  }

  wipe(): void {
    this.replicas.clear();
  }

  change(uid: string, change: Partial<ReplicaReport>): void {
    this.replicas.set(uid, { ...this.replicas.get(uid)!, ...change });
  }

  readonly service = {
    report: (signal: AbortSignal) => this.#call(signal, (): PodReport => ({ pod: this.name, podUID: `uid-${this.name}`, session: this.session, freeBytes: 2 ** 30, replicas: [...this.replicas.values()] })),
    nudge: (uid: string, signal: AbortSignal) => this.#call(signal, () => this.look(uid)),
    stopWrites: (uid: string, signal: AbortSignal) =>
      this.#call(signal, () => {
        this.stoppedCount++;
        const { term, lastSeq } = this.replicas.get(uid)!;
        return { term, lastSeq };
      }),
  } as unknown as PodService;

  /** Reads the object and does what it says of this pod. */
  async look(uid: string): Promise<void> {
    if (this.state !== 'up') return;
    const { session } = this;
    const shard = (await this.#cluster.metadata.shards.list()).find(({ metadata }) => metadata.uid === uid);
    if (shard === undefined || this.session !== session) return;
    const replica = this.replicas.get(uid);
    const { authority } = shard.status;
    const isMine = shard.spec.replicas.includes(this.name) || authority?.inSync.some(({ pod }) => pod === this.name) === true;
    if (isDeleting(shard) || !isMine) return void this.replicas.delete(uid);
    if (replica === undefined) {
      const incarnation = `${this.name}-${this.#starts}-${uid.slice(0, 4)}`;
      this.replicas.set(uid, { collectionUID: shard.spec.collection.uid, shardUID: uid, incarnation, role: 'waiting', term: 0, lastSeq: 0, commitSeq: 0, appliedSeq: 0, configVersion: 0, quarantined: false, blockedMs: 0, pointCount: 0 });
      return this.#cluster.tellOthers(uid, this);
    }
    if (authority === undefined) return;
    if (authority.primary.session !== this.session) {
      if (replica.role === 'primary') this.change(uid, { role: 'backup' });
      return;
    }
    if (authority.term > replica.term) this.#lead(uid, authority);
    if (this.replicas.get(uid)!.role === 'primary') await this.#changeMembers(shard, authority);
  }

  #lead(uid: string, { term, configVersion, inSync }: ShardAuthority): void {
    const { lastSeq } = this.replicas.get(uid)!;
    this.change(uid, { role: 'primary' });
    for (const { pod } of inSync) {
      const member = this.#cluster.pods.get(pod)!;
      if (member.state === 'up' && member.replicas.has(uid)) member.change(uid, { term, configVersion, lastSeq: lastSeq + 1, commitSeq: lastSeq + 1, appliedSeq: lastSeq + 1 });
    }
  }

  /** One change of inSync: out whoever is down, damaged or leaving, in whoever has a replica. */
  async #changeMembers(shard: VectorShard, authority: ShardAuthority): Promise<void> {
    const { uid } = shard.metadata;
    const { replicas, leaving = [], minInSync } = shard.spec;
    const holds = (pod: string, incarnation?: string): ReplicaReport | undefined => {
      const member = this.#cluster.pods.get(pod);
      const replica = member?.state === 'up' ? member.replicas.get(uid) : undefined;
      return incarnation === undefined || replica?.incarnation === incarnation ? replica : undefined;
    };
    const out = authority.inSync.find(({ pod, incarnation }) => pod !== this.name && (leaving.includes(pod) || holds(pod, incarnation) === undefined));
    const joiner = replicas.find((pod) => !leaving.includes(pod) && holds(pod) !== undefined && !authority.inSync.some((member) => member.pod === pod));
    let { inSync } = authority;
    if (out !== undefined && inSync.length > Math.max(1, minInSync)) inSync = inSync.filter((member) => member !== out);
    else if (joiner !== undefined) inSync = [...inSync, { pod: joiner, incarnation: holds(joiner)!.incarnation }];
    else return;
    const configVersion = authority.configVersion + 1;
    await this.#cluster.metadata.shards.replaceStatus({ ...shard, status: { ...shard.status, authority: { ...authority, inSync, configVersion } } }).catch(() => undefined);
    const { lastSeq, term } = this.replicas.get(uid)!;
    for (const { pod } of inSync) if (holds(pod) !== undefined) this.#cluster.pods.get(pod)!.change(uid, { lastSeq, commitSeq: lastSeq, appliedSeq: lastSeq, term, configVersion });
  }

  #call<T>(signal: AbortSignal, answer: () => T | Promise<T>): Promise<T> {
    if (this.state === 'down') return Promise.reject(new ShoalError('UNAVAILABLE', `${this.name} is down`));
    if (this.state === 'hung') return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    return Promise.resolve().then(answer);
  }
}

/** A clock whose process can stand still: time passes, and what was due comes late. */
export class StandstillClock implements Clock {
  readonly #clock = new SimulatedClock();
  #lostMs = 0;

  nowMs(): number {
    return this.#clock.nowMs() + this.#lostMs;
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs() + this.#lostMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.#clock.after(delayMs, callback);
  }

  advance(byMs: number): void {
    this.#clock.advance(byMs);
  }

  standStill(forMs: number): void {
    this.#lostMs += forMs;
  }
}

export class TestCluster {
  readonly clock: StandstillClock;
  readonly metadata: ClusterMetadata;
  readonly directory: PodList;
  readonly pods = new Map<string, TestPod>();
  controller: ShardController;
  readonly #systemReplicas: number;

  static async open(podNames: readonly string[], seed = 1): Promise<TestCluster> {
    const clock = new StandstillClock();
    const disk = faultyFileSystem({ random: seededRandom(seed) });
    const metadata = await openLocalMetadata({ directory: '/metadata', fileSystem: disk.mount(), clock, random: seededRandom(seed + 1) });
    return new TestCluster(clock, metadata, podNames);
  }

  private constructor(clock: StandstillClock, metadata: ClusterMetadata, podNames: readonly string[]) {
    this.clock = clock;
    this.metadata = metadata;
    this.directory = new PodList(podNames.map((name) => ({ name, isDraining: false })));
    for (const name of podNames) this.pods.set(name, new TestPod(this, name));
    metadata.shards.watch((name) => void this.#tellPods(name));
    this.#systemReplicas = Math.min(3, podNames.length);
    this.controller = this.newController();
  }

  newController(options: Partial<ShardControllerOptions> = {}): ShardController {
    return new ShardController({
      metadata: this.metadata,
      pods: { pod: (name) => this.pods.get(name)!.service },
      directory: this.directory,
      clock: this.clock,
      logger: silentLogger,
      systemReplication: { replicas: this.#systemReplicas, minInSync: Math.min(2, this.#systemReplicas) },
      ...options,
    });
  }

  pod(name: string): TestPod {
    return this.pods.get(name)!;
  }

  /** New, empty pods join. */
  join(...names: string[]): void {
    for (const name of names) this.pods.set(name, new TestPod(this, name));
    this.directory.set([...this.directory.list(), ...names.map((name) => ({ name, isDraining: false }))]);
  }

  /** Says of a pod what placement takes into account. */
  mark(name: string, change: Partial<DirectoryPod>): void {
    this.directory.set(this.directory.list().map((pod) => (pod.name === name ? { ...pod, ...change } : pod)));
  }

  drain(...names: string[]): void {
    this.directory.set(this.directory.list().map((pod) => ({ ...pod, isDraining: names.includes(pod.name) })));
  }

  async create(name: string, input: Partial<CollectionInput> = {}): Promise<VectorCollection> {
    const spec = collectionSpec({ name, dimension: 3, replication: { replicas: 3, minInSync: 2 }, ...input });
    return this.metadata.collections.create({ metadata: { name, labels: {} }, spec });
  }

  async collection(name: string): Promise<VectorCollection> {
    return (await this.metadata.collections.get(name))!;
  }

  async shard(name: string): Promise<VectorShard> {
    return (await this.metadata.shards.get(name))!;
  }

  /** Lets time pass until it holds; fails when it does not within `limitMs`. Resolves to the time it took. */
  async until(holds: () => boolean | Promise<boolean>, limitMs = 20_000, stepMs = 5): Promise<number> {
    const startMs = this.clock.monotonicMs();
    for (;;) {
      await turns();
      if (await holds()) return this.clock.monotonicMs() - startMs;
      assert(this.clock.monotonicMs() - startMs < limitMs, `still waiting for ${JSON.stringify([...this.controller.unsettled()])}`);
      this.clock.advance(stepMs);
    }
  }

  async pass(durationMs: number): Promise<void> {
    const endMs = this.clock.monotonicMs() + durationMs;
    await this.until(() => this.clock.monotonicMs() >= endMs, durationMs + 100, 50);
  }

  /** A primary notices a joiner. */
  async tellOthers(uid: string, except: TestPod): Promise<void> {
    for (const pod of this.pods.values()) if (pod !== except && pod.replicas.get(uid)?.role === 'primary') await pod.look(uid);
  }

  async #tellPods(name: string): Promise<void> {
    const shard = await this.metadata.shards.get(name);
    if (shard === undefined) return;
    for (const pod of this.pods.values()) await pod.look(shard.metadata.uid);
  }
}

/** Until nothing is left that needs no time. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
}
