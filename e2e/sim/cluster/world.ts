/**
 * A simulated cluster: machines, processes on them, what lies between, by seed. A process is started from `ClusterParts`
 * and may be killed, paused, cut off at any instant; its machine and its pod's identity outlive it.
 */

import assert from 'node:assert/strict';
import { crc32c } from '@node-rs/crc32';
import { ShoalError } from '../../../pods/kernel/errors.ts';
import { silentLogger, type Logger } from '../../../pods/kernel/logger.ts';
import type { Mutations } from '../../../pods/kernel/mutations.ts';
import { seededRandom, type Random } from '../../../pods/kernel/random.ts';
import type { StoredObject } from '../../../pods/metadata/cluster-metadata.ts';
import type { VectorShard } from '../../../pods/metadata/objects.ts';
import { Gate } from './gate.ts';
import { connectMetadata, MetadataWeather, type MetadataPort } from './metadata-client.ts';
import { SimulatedMetadataStore, type Kind, type MetadataRules } from './metadata-store.ts';
import { SimulatedNetwork, type NetworkPort } from './network.ts';
import { NodeClock } from './node-clock.ts';
import type { ClusterParts, NodeKind, NodeSurroundings, PodFact, ReplicaInspection, SimulatedGateway, SimulatedNode, SimulatedPod } from './node.ts';
import { PodMachine } from './pod-machine.ts';
import { Scheduler } from './scheduler.ts';

export interface WorldOptions {
  readonly seed: number;
  readonly parts: ClusterParts;
  readonly mutations: Mutations;
  readonly rules?: MetadataRules;
  /** Takes the lines of the trace. */
  readonly print?: (line: string) => void;
  readonly logger?: (name: string) => Logger;
}

export type ProcessState = 'down' | 'starting' | 'up';

interface Process {
  readonly gate: Gate;
  readonly clock: NodeClock;
  readonly network: NetworkPort;
  readonly metadata: MetadataPort;
  node: SimulatedNode | undefined;
}

/** A place where processes run one after another. */
interface Place {
  readonly name: string;
  readonly kind: NodeKind;
  podUID: string;
  machine: PodMachine | undefined;
  startCount: number;
  failedStartCount: number;
  process: Process | undefined;
  clockRate: number;
  wallOffsetMs: number;
  isDraining: boolean;
  /** Nobody starts it again by himself. */
  isHeldDown: boolean;
}

const dataDirectory = '/data';
/** A container that ended is started again after about this long. */
const restartMs = { min: 100, max: 2_000 };
/** One that fails again and again waits longer, up to this many times as long. */
const restartFactorMax = 16;

export class World {
  readonly scheduler: Scheduler;
  readonly network: SimulatedNetwork;
  readonly store: SimulatedMetadataStore;
  readonly weather = new MetadataWeather();
  readonly mutations: Mutations;
  /** What happened by itself, by name. */
  readonly counts: Record<string, number> = {};
  /** A process has asked the metadata store for a shard, and this is what it said. */
  onShardRead: (reader: string, shard: VectorShard) => void = () => undefined;
  /** For a reader: starts, ends, faults, roles. */
  readonly story: string[] = [];
  readonly #options: WorldOptions;
  readonly #random: Random;
  readonly #places = new Map<string, Place>();

  constructor(options: WorldOptions) {
    this.#options = options;
    this.mutations = options.mutations;
    this.#random = this.fork('world');
    this.scheduler = new Scheduler(options.print === undefined ? {} : { print: options.print });
    this.network = new SimulatedNetwork({ scheduler: this.scheduler, random: this.fork('network') });
    this.store = new SimulatedMetadataStore({ scheduler: this.scheduler, random: this.fork('store'), ...(options.rules === undefined ? {} : { rules: options.rules }) });
  }

  /** A source of chance of its own, so that one part's choices do not depend on how often another draws. */
  fork(label: string): Random {
    return seededRandom(crc32c(`${this.#options.seed}/${label}`));
  }

  // ------------------------------------------------------------ places and processes

  addNode(name: string, kind: NodeKind): void {
    assert(!this.#places.has(name), `there is a node named ${name} already`);
    const machine = kind === 'pod' ? this.#newMachine(name, 0) : undefined;
    this.#places.set(name, { name, kind, machine, podUID: this.#random.uuid(), startCount: 0, failedStartCount: 0, process: undefined, clockRate: 1, wallOffsetMs: 0, isDraining: false, isHeldDown: false });
  }

  names(kind: NodeKind): readonly string[] {
    return [...this.#places.values()].filter((place) => place.kind === kind).map(({ name }) => name);
  }

  get allNames(): readonly string[] {
    return [...this.#places.keys()];
  }

  stateOf(name: string): ProcessState {
    const { process } = this.#place(name);
    if (process === undefined) return 'down';
    return process.node === undefined ? 'starting' : 'up';
  }

  /** Starts the process there; if it fails, it is started again and again. */
  start(name: string): void {
    const place = this.#place(name);
    assert(place.process === undefined, `${name} is running`);
    place.isHeldDown = false;
    const number = ++place.startCount;
    const process = this.#open(place);
    place.process = process;
    this.tell(name, `starts (${number})`);
    const surroundings = this.#surroundings(place, process);
    process.gate
      .start<SimulatedNode>(() => this.#make(place, surroundings))
      .then(
        (node) => {
          if (process.gate.isDead) return;
          process.node = node;
          place.failedStartCount = 0;
          this.tell(name, 'is up');
        },
        (error: unknown) => {
          if (process.gate.isDead) return;
          place.failedStartCount++;
          this.#ended(place, process, `failed to start: ${describe(error)}`);
        },
      );
  }

  /** The process ends at this instant. It is started again a little later, unless it is held down. */
  crash(name: string, how: 'power loss' | 'kill', options: { readonly holdDown?: boolean } = {}): void {
    const place = this.#place(name);
    place.isHeldDown = options.holdDown ?? false;
    if (place.process === undefined) return;
    this.#end(place, how);
    this.tell(name, how);
    if (!place.isHeldDown) this.#startLater(place);
  }

  /** An orderly end; resolves when it has ended, or was killed because it took too long. */
  stop(name: string, options: { readonly graceMs: number }): void {
    const place = this.#place(name);
    const { process } = place;
    if (process?.node === undefined) return this.crash(name, 'kill');
    const { node } = process;
    this.tell(name, 'is asked to end');
    let isOver = false;
    const ended = (how: string): void => {
      if (isOver || place.process !== process) return;
      isOver = true;
      this.#end(place, 'kill');
      this.tell(name, how);
      if (!place.isHeldDown) this.#startLater(place);
    };
    this.scheduler.after(options.graceMs, () => ended('took too long to end'));
    process.gate
      .start(() => node.close())
      .then(
        () => ended('ended'),
        (error: unknown) => ended(`ended badly: ${describe(error)}`),
      );
  }

  /** The pod comes back on an empty disk, as another pod of the same name. */
  replace(name: string): void {
    const place = this.#place(name);
    if (place.process !== undefined) this.#end(place, 'power loss');
    place.machine = this.#newMachine(name, place.startCount + 1);
    place.failedStartCount = 0;
    place.podUID = this.#random.uuid();
    this.tell(name, 'is replaced, with an empty disk');
    if (!place.isHeldDown) this.#startLater(place);
  }

  pause(name: string): void {
    this.#place(name).process?.gate.pause();
    this.tell(name, 'is paused');
  }

  resume(name: string): void {
    const gate = this.#place(name).process?.gate;
    if (gate?.isPaused !== true) return;
    this.tell(name, 'goes on');
    gate.resume();
  }

  isPaused(name: string): boolean {
    return this.#place(name).process?.gate.isPaused === true;
  }

  /** Of this process and of those after it. */
  setClockRate(name: string, rate: number): void {
    const place = this.#place(name);
    place.clockRate = rate;
    place.process?.clock.setRate(rate);
  }

  clockRate(name: string): number {
    return this.#place(name).clockRate;
  }

  jumpWallClock(name: string, byMs: number): void {
    const place = this.#place(name);
    place.wallOffsetMs += byMs;
    place.process?.clock.jump(byMs);
  }

  machine(name: string): PodMachine {
    return this.#place(name).machine ?? assert.fail(`${name} has no machine`);
  }

  podUID(name: string): string {
    return this.#place(name).podUID;
  }

  // ------------------------------------------------------------ what is there

  pod(name: string): SimulatedPod | undefined {
    return this.#place(name).process?.node as SimulatedPod | undefined;
  }

  /** Runs in the gateway's process, if there is one: what it answers comes out of its gate. */
  atGateway<T>(name: string, work: (gateway: SimulatedGateway) => Promise<T>): Promise<T> {
    const process = this.#place(name).process;
    if (process?.node === undefined) return Promise.reject(new ShoalError('UNAVAILABLE', `${name} is not up`));
    const { node, gate } = process;
    return gate.pass(gate.start(() => work(node as SimulatedGateway)));
  }

  /** Every replica of every process that is up. */
  inspect(): readonly (ReplicaInspection & { readonly pod: string })[] {
    return this.names('pod').flatMap((pod) => (this.pod(pod)?.inspect() ?? []).map((replica) => ({ ...replica, termAt: (seq: number) => replica.termAt(seq), pod })));
  }

  podFacts(): readonly PodFact[] {
    return this.names('pod').map((name) => {
      const { podUID, process, isDraining } = this.#place(name);
      return { name, podUID, isRunning: process !== undefined, isDraining };
    });
  }

  setDraining(name: string, isDraining: boolean): void {
    this.#place(name).isDraining = isDraining;
    this.tell(name, isDraining ? 'shall be drained' : 'may hold replicas again');
  }

  /** A line of the story, and of the trace. */
  tell(who: string, what: string): void {
    this.scheduler.trace.line(who, `* ${what}`);
    this.story.push(`${(this.scheduler.elapsedMs / 1_000).toFixed(3)} s  ${who} ${what}`);
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  // ------------------------------------------------------------ inside

  #open(place: Place): Process {
    const gate = new Gate(place.name, (callback) => void this.scheduler.after(0, callback));
    const onGet = (reader: string, kind: Kind, object: StoredObject | undefined): void => {
      if (kind === 'shards' && object !== undefined) this.onShardRead(reader, object as VectorShard);
    };
    const around = { store: this.store, weather: this.weather, scheduler: this.scheduler, random: this.fork(`metadata of ${place.name}/${place.startCount}`), counts: this.counts, onGet };
    const writer = { name: place.name, ...(place.kind === 'pod' ? { podUID: place.podUID } : {}) };
    return {
      gate,
      clock: new NodeClock(this.scheduler, gate, { rate: place.clockRate, wallOffsetMs: place.wallOffsetMs }),
      network: this.network.attach(place.name, gate),
      metadata: connectMetadata(around, writer, gate),
      node: undefined,
    };
  }

  #surroundings(place: Place, process: Process): NodeSurroundings {
    const { name } = place;
    return {
      name,
      podUID: place.podUID,
      clock: process.clock,
      random: this.fork(`${name}/${place.startCount}`),
      logger: this.#options.logger?.(name) ?? silentLogger,
      metadata: process.metadata.metadata,
      transport: process.network.transport,
      pods: process.network.pods,
      mutations: this.mutations,
      onMessage: (receive) => process.network.onMessage(receive),
      serve: (service) => process.network.serve(service),
      onFailure: (error) => this.#ended(place, process, `failed: ${describe(error)}`),
      listPods: () => process.gate.pass(this.#listPods(name)),
    };
  }

  #make(place: Place, surroundings: NodeSurroundings): Promise<SimulatedNode> {
    const { parts } = this.#options;
    const { machine, process } = place;
    if (place.kind === 'gateway') return parts.gateway(surroundings);
    if (place.kind === 'controller') return parts.controller(surroundings);
    const { gate } = process!;
    return parts.pod({ ...surroundings, dataDirectory, fileSystem: machine!.fileSystem(gate), openStore: () => machine!.openStore(gate) });
  }

  async #listPods(asker: string): Promise<readonly PodFact[]> {
    const { latencyMsMean } = this.weather.quality;
    await this.scheduler.sleep(latencyMsMean * 2 * this.#random.fraction());
    if (!this.weather.reaches(asker)) throw new ShoalError('UNAVAILABLE', 'the API server cannot be reached');
    const facts = this.podFacts();
    await this.scheduler.sleep(latencyMsMean * 2 * this.#random.fraction());
    return facts;
  }

  /** By itself. Not at once: the code that says so is still running. */
  #ended(place: Place, process: Process, how: string): void {
    this.scheduler.after(0, () => {
      if (place.process !== process) return;
      this.count('processes ended by themselves');
      this.#end(place, 'kill');
      this.tell(place.name, how);
      this.#startLater(place);
    });
  }

  #end(place: Place, how: 'power loss' | 'kill'): void {
    const { process } = place;
    place.process = undefined;
    process?.gate.close();
    process?.network.detach();
    process?.metadata.detach();
    place.machine?.end(how);
  }

  #startLater(place: Place): void {
    const factor = Math.min(restartFactorMax, 2 ** Math.max(0, place.failedStartCount - 1));
    const delayMs = factor * (restartMs.min + (restartMs.max - restartMs.min) * this.#random.fraction());
    this.scheduler.after(delayMs, () => {
      if (place.process === undefined && !place.isHeldDown) this.start(place.name);
    });
  }

  #newMachine(name: string, number: number): PodMachine {
    return new PodMachine(this.scheduler, this.fork(`machine of ${name}/${number}`));
  }

  #place(name: string): Place {
    return this.#places.get(name) ?? assert.fail(`there is no node named ${name}`);
  }
}

function describe(error: unknown): string {
  return error instanceof ShoalError ? `${error.code} ${error.message}` : ((error as Error)?.stack ?? String(error));
}
