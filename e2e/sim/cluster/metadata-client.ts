/**
 * `ClusterMetadata` as one process of a simulated cluster has it, with what lies between it and the store:
 *
 *     process ── request, late ──► store        a request may be lost, or land after its caller has given up
 *             ◄── answer, late ──               an answer may be lost: the outcome is unknown
 *             ◄── watch, later ──               events come in order, late; a watch that broke is listed anew
 *
 * An outage of one process, or of the whole store, loses both halves.
 */

import { ShoalError } from '../../../pods/kernel/errors.ts';
import type { Random } from '../../../pods/kernel/random.ts';
import type { ClusterMetadata, NewObject, ObjectStore, StoredObject } from '../../../pods/metadata/cluster-metadata.ts';
import { copyOf } from './copy.ts';
import type { Gate } from './gate.ts';
import { kinds, type Kind, type SimulatedMetadataStore, type Writer } from './metadata-store.ts';
import type { Scheduler } from './scheduler.ts';

export interface MetadataQuality {
  readonly latencyMsMin: number;
  readonly latencyMsMean: number;
  /** Chances in [0, 1] of one call. */
  readonly lostRequest: number;
  readonly lostAnswer: number;
  /** The request lands after its caller has given up. */
  readonly lateRequest: number;
  /** Refused for now (429): nothing happened. */
  readonly overload: number;
  /** How long a caller waits. */
  readonly timeoutMs: number;
  readonly watchDelayMsMean: number;
  /** Chance, for each event, that the watch breaks with it; it is listed anew after at most `relistMsMax`. */
  readonly watchBreak: number;
  readonly relistMsMax: number;
}

export const goodMetadata: MetadataQuality = {
  latencyMsMin: 1,
  latencyMsMean: 3,
  lostRequest: 0,
  lostAnswer: 0,
  lateRequest: 0,
  overload: 0,
  timeoutMs: 5_000,
  watchDelayMsMean: 5,
  watchBreak: 0,
  relistMsMax: 3_000,
};

/** Names that somebody holds, maybe several at once. */
export class HeldNames {
  readonly #counts = new Map<string, number>();

  /** Holds it until the answer is called. */
  hold(name: string): () => void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    let isHeld = true;
    return () => {
      if (isHeld) this.#counts.set(name, this.#counts.get(name)! - 1);
      isHeld = false;
    };
  }

  has(name: string): boolean {
    return (this.#counts.get(name) ?? 0) > 0;
  }
}

/** What is wrong between store and processes; mutable, for whoever injects faults. */
export class MetadataWeather {
  quality: MetadataQuality = goodMetadata;
  isDown = false;
  readonly cutOff = new HeldNames();
  /** Milliseconds by which the watches of a process are late; they stay in order. */
  readonly staleMs = new Map<string, number>();
  /** Each is asked about every write that is sent: true makes it land after its time-out. */
  readonly delays = new Set<(writer: string, kind: Kind, sent: StoredObject) => boolean>();
  /** Restores do not overlap: what each lost is put back as a whole. */
  isBeingRestored = false;

  reaches(name: string): boolean {
    return !this.isDown && !this.cutOff.has(name);
  }
}

export interface MetadataSurroundings {
  readonly store: SimulatedMetadataStore;
  readonly weather: MetadataWeather;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly counts: Record<string, number>;
  /** A process asked for an object, and this is what the store said. */
  readonly onGet?: (reader: string, kind: Kind, object: StoredObject | undefined) => void;
}

export interface MetadataPort {
  readonly metadata: ClusterMetadata;
  /** The process is gone: its watches end. Requests on their way still land. */
  detach(): void;
}

export function connectMetadata(surroundings: MetadataSurroundings, writer: Writer, gate: Gate): MetadataPort {
  const clients = kinds.map((kind) => [kind, new Client(surroundings, writer, gate, kind)] as const);
  return {
    metadata: Object.fromEntries(clients) as unknown as ClusterMetadata,
    detach: () => clients.forEach(([, client]) => client.close()),
  };
}

class Client implements ObjectStore<StoredObject> {
  readonly #around: MetadataSurroundings;
  readonly #writer: Writer;
  readonly #gate: Gate;
  readonly #kind: Kind;
  readonly #callbacks = new Set<(name: string) => void>();
  #cache = new Map<string, StoredObject>();
  #unsubscribe: (() => void) | undefined;
  /** A list is on its way, or there is none yet. */
  #isBehind = true;
  #lastEventMs = 0;
  /** Events of an older watch do not count any more. */
  #watchNumber = 0;

  constructor(around: MetadataSurroundings, writer: Writer, gate: Gate, kind: Kind) {
    this.#around = around;
    this.#writer = writer;
    this.#gate = gate;
    this.#kind = kind;
  }

  get(name: string): Promise<StoredObject | undefined> {
    return this.#call('get', name, ({ store, onGet }) => {
      const object = store.get(this.#kind, name);
      onGet?.(this.#writer.name, this.#kind, object);
      return object;
    });
  }

  list(): Promise<readonly StoredObject[]> {
    return this.#call('list', '', ({ store }) => store.list(this.#kind));
  }

  create(object: NewObject<StoredObject>): Promise<StoredObject> {
    const sent = copyOf(object);
    return this.#call('create', object.metadata.name, ({ store }) => store.create(this.#writer, this.#kind, sent as never) as StoredObject);
  }

  replace(object: StoredObject): Promise<StoredObject> {
    const sent = copyOf(object);
    return this.#call('replace', object.metadata.name, ({ store }) => store.replace(this.#writer, this.#kind, sent as never) as StoredObject, sent);
  }

  replaceStatus(object: StoredObject): Promise<StoredObject> {
    const sent = copyOf(object);
    return this.#call('replaceStatus', object.metadata.name, ({ store }) => store.replaceStatus(this.#writer, this.#kind, sent as never) as StoredObject, sent);
  }

  delete(name: string, resourceVersion: string): Promise<void> {
    return this.#call('delete', name, ({ store }) => store.delete(this.#writer, this.#kind, name, resourceVersion));
  }

  peek(name: string): StoredObject | undefined {
    return this.#cache.get(name);
  }

  isFresh(): boolean {
    // Bookmarks come every few seconds: a watch that is very late is known to be.
    return !this.#isBehind && this.#around.weather.reaches(this.#writer.name) && this.#staleMs() < 10_000;
  }

  watch(onChange: (name: string) => void): () => void {
    this.#callbacks.add(onChange);
    if (this.#unsubscribe === undefined) {
      this.#unsubscribe = this.#around.store.onChange({
        changed: (kind, name, object) => {
          if (kind === this.#kind) this.#event(name, object);
        },
        reset: () => this.#break(),
      });
      this.#relist(this.#latencyMs());
    } else {
      for (const name of this.#cache.keys()) this.#later(0, () => this.#callbacks.has(onChange) && onChange(name));
    }
    return () => void this.#callbacks.delete(onChange);
  }

  close(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#callbacks.clear();
    this.#watchNumber++;
  }

  // ------------------------------------------------------------ calls

  #call<T>(verb: string, name: string, atStore: (around: MetadataSurroundings) => T, sent?: StoredObject): Promise<T> {
    const { store, weather, scheduler, counts } = this.#around;
    const { quality } = weather;
    const { restoreCount } = store;
    const isConnected = (): boolean => weather.reaches(this.#writer.name) && store.restoreCount === restoreCount;
    const isWrite = verb !== 'get' && verb !== 'list';
    const what = `${verb} ${this.#kind}${name === '' ? '' : `/${name}`}`;
    if (this.#gate.isDead) return new Promise<T>(() => undefined);
    const tell = (how: string): void => scheduler.trace.line(this.#writer.name, `${what}: ${how}`);
    const count = (how: string): void => void (counts[how] = (counts[how] ?? 0) + 1);
    return this.#gate.pass(
      new Promise<T>((resolve, reject) => {
        const fail = (code: 'UNAVAILABLE' | 'OUTCOME_UNKNOWN' | 'OVERLOADED', how: string): void => {
          tell(how);
          reject(new ShoalError(code, `${what}: ${how}`));
        };
        if (!weather.reaches(this.#writer.name) && this.#chance(0.5)) {
          scheduler.after(this.#latencyMs(), () => fail('UNAVAILABLE', 'the metadata store cannot be reached'));
          return;
        }
        const isDelayed = sent !== undefined && [...weather.delays].some((delay) => delay(this.#writer.name, this.#kind, sent));
        const isLate = isDelayed || this.#chance(quality.lateRequest);
        const isRequestLost = !isLate && this.#chance(quality.lostRequest);
        const isAnswerLost = this.#chance(quality.lostAnswer);
        const isRefused = this.#chance(quality.overload);
        const timeout = scheduler.after(quality.timeoutMs, () => {
          count(isWrite ? 'metadata writes in doubt' : 'metadata reads lost');
          fail(isWrite ? 'OUTCOME_UNKNOWN' : 'UNAVAILABLE', 'no answer in time');
        });
        const arrivalMs = isLate ? quality.timeoutMs * (1 + this.#around.random.fraction()) : this.#latencyMs();
        scheduler.after(arrivalMs, () => {
          if (isRequestLost || !isConnected()) return;
          if (isLate && isWrite) count('metadata writes after their time-out');
          const answer = this.#answer(isRefused, what, atStore);
          scheduler.after(this.#latencyMs(), () => {
            if (isLate || isAnswerLost || !isConnected()) return;
            timeout.cancel();
            if ('error' in answer) {
              tell(answer.error instanceof ShoalError ? answer.error.code : 'failed');
              reject(answer.error);
            } else {
              tell('done');
              resolve(answer.value);
            }
          });
        });
      }),
    );
  }

  #answer<T>(isRefused: boolean, what: string, atStore: (around: MetadataSurroundings) => T): { readonly value: T } | { readonly error: Error } {
    if (isRefused) return { error: new ShoalError('OVERLOADED', `${what}: too many requests`) };
    try {
      return { value: atStore(this.#around) };
    } catch (error) {
      // A defect of the simulation itself is not an answer.
      if (!(error instanceof ShoalError)) this.#around.scheduler.fail(error as Error);
      return { error: error as Error };
    }
  }

  // ------------------------------------------------------------ watches

  #event(name: string, object: StoredObject | undefined): void {
    const { weather, scheduler } = this.#around;
    if (this.#isBehind) return;
    if (!weather.reaches(this.#writer.name) || this.#chance(weather.quality.watchBreak)) return this.#break();
    const now = scheduler.nowMs;
    const atMs = Math.max(this.#lastEventMs, now + this.#staleMs() - weather.quality.watchDelayMsMean * Math.log(1 - this.#around.random.fraction()));
    this.#lastEventMs = atMs;
    this.#later(atMs - now, () => this.#learn(name, object));
  }

  #break(): void {
    if (this.#unsubscribe === undefined) return;
    this.#around.counts['watches broken'] = (this.#around.counts['watches broken'] ?? 0) + 1;
    this.#relist(this.#around.random.fraction() * this.#around.weather.quality.relistMsMax);
  }

  #relist(delayMs: number): void {
    this.#isBehind = true;
    const number = ++this.#watchNumber;
    const { store, weather, scheduler } = this.#around;
    scheduler.after(delayMs, () => {
      if (number !== this.#watchNumber) return;
      if (!weather.reaches(this.#writer.name)) return this.#relist(500 + 500 * this.#around.random.fraction());
      const listed = store.list(this.#kind) as readonly StoredObject[];
      this.#isBehind = false;
      const atMs = Math.max(this.#lastEventMs, scheduler.nowMs + this.#latencyMs());
      this.#lastEventMs = atMs;
      this.#later(atMs - scheduler.nowMs, () => {
        const names = new Set([...this.#cache.keys(), ...listed.map((object) => object.metadata.name)]);
        this.#cache = new Map(listed.map((object) => [object.metadata.name, object]));
        for (const name of names) this.#tellOf(name);
      });
    });
  }

  #learn(name: string, object: StoredObject | undefined): void {
    if (object === undefined) this.#cache.delete(name);
    else this.#cache.set(name, object);
    this.#tellOf(name);
  }

  #tellOf(name: string): void {
    for (const callback of [...this.#callbacks]) callback(name);
  }

  /** As long as the watch is the same one. */
  #later(delayMs: number, callback: () => void): void {
    const number = this.#watchNumber;
    this.#around.scheduler.after(delayMs, () => {
      this.#gate.enter(() => {
        if (number === this.#watchNumber) callback();
      });
    });
  }

  #staleMs(): number {
    return this.#around.weather.staleMs.get(this.#writer.name) ?? 0;
  }

  #latencyMs(): number {
    const { latencyMsMin, latencyMsMean } = this.#around.weather.quality;
    return latencyMsMin - (latencyMsMean - latencyMsMin) * Math.log(1 - this.#around.random.fraction());
  }

  #chance(probability: number): boolean {
    return probability > 0 && this.#around.random.fraction() < probability;
  }
}
