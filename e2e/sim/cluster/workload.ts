/**
 * Clients of a simulated cluster. Each sends one request after another through some gateway, remembers what it was told
 * in the history of the collection's present life, and sends a request again under its number when it does not know what
 * became of it. Clients run outside: nothing stops them but their own deadlines.
 */

import type { RequestContext } from '../../../pods/api/context.ts';
import type { VectorApi, WriteAnswer } from '../../../pods/api/vector-api.ts';
import type { Consistency } from '../../../pods/domain/consistency.ts';
import { hasCode, ShoalError, type ErrorCode } from '../../../pods/kernel/errors.ts';
import { below, type Random } from '../../../pods/kernel/random.ts';
import { noSpan } from '../../../pods/kernel/span.ts';
import { History, type Attempt, type Condition, type GetAnswer, type Request, type WriteAnswer as RecordedAnswer, type WriteCall } from '../../checker/history.ts';
import { dimension, payloadOf, seenIn, vectorOf } from './contents.ts';
import { anyOf } from './network.ts';
import type { World } from './world.ts';

export interface WorkloadOptions {
  readonly clientCount: number;
  readonly shards: number;
  readonly replicas: number;
  readonly minInSync: number;
  /** Ids in use at one time. */
  readonly idCount: number;
  readonly meanPauseMs: number;
  /** Requests of all clients together; for shrinking. */
  readonly requestCountMax: number;
}

/** From one creation of the collection to its deletion. */
export interface Life {
  readonly uid: string;
  readonly history: History;
  /** How often each place of the set of ids was given a new id, because the old one is retired. */
  readonly generations: number[];
  /** Newest version of each point that an answer told of. */
  readonly versions: Map<string, number>;
  /** Ids with a write of unknown outcome. */
  readonly doubtful: Set<string>;
}

export const collectionName = 'docs';

/** Of a request for one point, these say that nothing was done. */
const refusals: readonly ErrorCode[] = ['NOT_PRIMARY', 'STALE_EPOCH', 'NOT_ENOUGH_IN_SYNC', 'OVERLOADED', 'STORAGE_READ_ONLY', 'UNAVAILABLE', 'SHUTTING_DOWN', 'COLLECTION_NOT_FOUND', 'REQUEST_TOO_OLD'];
/** Others may come of faults; any but these is a defect. */
const doubts: readonly ErrorCode[] = ['OUTCOME_UNKNOWN', 'DEADLINE_EXCEEDED', 'CANCELLED', 'CORRUPTION'];
const sendCountMax = 4;

interface Client {
  readonly id: string;
  readonly random: Random;
  requestNumber: number;
  /** Newest seq seen of each shard of this life. */
  readonly seqs: Map<string, number>;
}

export class Workload {
  readonly lives: Life[] = [];
  /** Acknowledged: shard UID and seq. */
  onAcknowledged: (shardUID: string, seq: number) => void = () => undefined;
  readonly #world: World;
  readonly #options: WorkloadOptions;
  readonly #random: Random;
  #requestCount = 0;
  #contentCount = 0;
  #inFlightCount = 0;
  #isPaused = false;
  #isOver = false;

  constructor(world: World, options: WorkloadOptions) {
    this.#world = world;
    this.#options = options;
    this.#random = world.fork('workload');
  }

  /** Makes the collection, then lets the clients begin. Resolves when it is there. */
  async start(): Promise<void> {
    await this.#create();
    for (let i = 0; i < this.#options.clientCount; i++) {
      const client: Client = { id: `client-${i}`, random: this.#world.fork(`client ${i}`), requestNumber: 0, seqs: new Map() };
      void this.#live(client);
    }
  }

  /** No new requests; resolves when none is under way. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#quiet();
  }

  get life(): Life | undefined {
    return this.lives.at(-1);
  }

  get requestCount(): number {
    return this.#requestCount;
  }

  /** The collection is on its way from one life to the next. */
  get isBetweenLives(): boolean {
    return this.#isPaused;
  }

  recreateCollection(): void {
    if (!this.#isPaused && !this.#isOver && this.life !== undefined) void this.#recreate();
  }

  /** One id after another, as a client that insists sees it. */
  ids(): readonly string[] {
    return (this.life?.generations ?? []).map((generation, place) => idOf(place, generation));
  }

  /** Of the present life, in a history entry's words. */
  recordedId(id: string): string {
    return `${this.life!.uid}/${id}`;
  }

  /** Sends until it is answered; only for a world that heals. */
  async insist<T>(what: string, call: (api: VectorApi, context: RequestContext) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await this.#send(this.#random, 5_000, call);
      } catch (error) {
        this.#mustBeExplained(what, error);
        if (this.#isOver && this.#world.scheduler.failure !== undefined) throw error;
        await this.#world.scheduler.sleep(100 + 400 * this.#random.fraction());
      }
    }
  }

  // ------------------------------------------------------------ the collection

  async #create(): Promise<void> {
    const { shards, replicas, minInSync } = this.#options;
    const input = { name: collectionName, dimension, metric: 'euclidean' as const, shards, replication: { replicas, minInSync } };
    const { collection } = await this.insist('create', async (api, context) => {
      try {
        return await api.collections.create(context, input);
      } catch (error) {
        // Made by an earlier try, and changed since.
        if (!hasCode(error, 'COLLECTION_EXISTS')) throw error;
        return { collection: await api.collections.get(context, collectionName) };
      }
    });
    const world = this.#world;
    this.lives.push({ uid: collection.uid, history: new History(() => Math.round(world.scheduler.elapsedMs)), generations: new Array<number>(this.#options.idCount).fill(0), versions: new Map(), doubtful: new Set() });
    world.tell('clients', `have collection ${collection.uid.slice(0, 8)}`);
  }

  async #recreate(): Promise<void> {
    this.#isPaused = true;
    await this.#quiet();
    const { uid } = this.life!;
    let isGone = false;
    while (!isGone) {
      await this.insist('delete collection', async (api, context) => {
        try {
          const present = await api.collections.get(context, collectionName);
          if (present.uid === uid) await api.collections.delete(context, collectionName);
        } catch (error) {
          if (!hasCode(error, 'COLLECTION_NOT_FOUND')) throw error;
        }
      });
      // What a gateway knows may be old: what the store says counts.
      isGone = !this.#world.store.list('collections').some(({ metadata }) => metadata.uid === uid && metadata.deletionTimestampMs === undefined);
    }
    await this.#create();
    this.#isPaused = false;
  }

  // ------------------------------------------------------------ a client

  async #live(client: Client): Promise<void> {
    const { scheduler } = this.#world;
    for (;;) {
      await scheduler.sleep(-this.#options.meanPauseMs * Math.log(1 - client.random.fraction()));
      if (this.#isOver || this.#requestCount >= this.#options.requestCountMax) return;
      if (this.#isPaused) continue;
      this.#requestCount++;
      this.#inFlightCount++;
      try {
        await this.#request(client, this.life!);
      } catch (error) {
        scheduler.fail(error as Error);
      }
      this.#inFlightCount--;
    }
  }

  #request(client: Client, life: Life): Promise<void> {
    const dice = client.random.fraction();
    if (dice < 0.5) return this.#write(client, life);
    if (dice < 0.85) return this.#get(client, life);
    return this.#search(client, life);
  }

  async #write(client: Client, life: Life): Promise<void> {
    const { random } = client;
    const places = new Set<number>();
    for (let count = random.fraction() < 0.7 ? 1 : 2 + below(random, 3); count > 0; count--) places.add(below(random, life.generations.length));
    const kind = anyOf(random, ['upsert', 'upsert', 'upsert', 'set-payload', 'delete'] as const);
    const requestNumber = ++client.requestNumber;
    const requests = Array.from(places, (place): Request & { call: WriteCall } & { pointId: string } => {
      const pointId = this.#idAt(life, place);
      const id = `${life.uid}/${pointId}`;
      const condition = this.#condition(random, life, id);
      return { id, pointId, clientId: client.id, requestNumber, call: this.#call(kind, condition) };
    });
    for (let sent = 1; ; sent++) {
      const attempts = requests.map(({ pointId: _, ...request }) => life.history.invoke(request));
      try {
        const answer = await this.#send(random, anyOf(random, [500, 2_000, 5_000, 10_000]), (api, context) => write(api, { ...context, idempotency: { clientId: client.id, requestNumber } }, requests));
        this.#answered(client, attempts, answer);
        answer.items.forEach(({ version }, i) => life.versions.set(requests[i]!.id, version));
        return;
      } catch (error) {
        const isRefused = requests.length === 1 && refusals.some((code) => hasCode(error, code));
        for (const attempt of attempts) if (isRefused) attempt.failed(); else attempt.lost();
        if (!isRefused) for (const { id } of requests) life.doubtful.add(id);
        this.#mustBeExplained(kind, error);
        // The next life knows nothing of this request.
        if (sent >= sendCountMax || random.fraction() < 0.2 || this.#isPaused || this.#isOver || life !== this.life) return;
      }
      await this.#world.scheduler.sleep(2_000 * random.fraction());
    }
  }

  #answered(client: Client, attempts: readonly Attempt<RecordedAnswer>[], { items, tokens }: WriteAnswer): void {
    attempts.forEach((attempt, i) => {
      const { outcome, version } = items[i]!;
      attempt.answered({ outcome, version, tokens });
    });
    for (const { shardUID, seq } of tokens) {
      client.seqs.set(shardUID, Math.max(seq, client.seqs.get(shardUID) ?? 0));
      this.onAcknowledged(shardUID, seq);
    }
  }

  async #get(client: Client, life: Life): Promise<void> {
    const { random } = client;
    const pointId = this.#idAt(life, below(random, life.generations.length));
    const consistency = this.#consistency(client);
    const request = { id: `${life.uid}/${pointId}`, clientId: client.id, requestNumber: ++client.requestNumber, call: { kind: 'get', consistency } } as const;
    const attempt: Attempt<GetAnswer> = life.history.invoke(request);
    try {
      const [found] = await this.#send(random, anyOf(random, [500, 5_000]), (api, context) => api.points.get(context, collectionName, { ids: [pointId], consistency, includeVector: true, includePayload: true }));
      attempt.answered({ seen: found === undefined ? undefined : seenIn(found) });
    } catch (error) {
      attempt.lost();
      this.#mustBeExplained('get', error);
    }
  }

  async #search(client: Client, life: Life): Promise<void> {
    const { random } = client;
    const consistency = this.#consistency(client);
    const attempt = life.history.search(client.id, consistency);
    // Retired ids are still there.
    const everything = life.generations.reduce((sum, generation) => sum + generation + 1, 0);
    const topK = random.fraction() < 0.6 ? everything : 1 + below(random, everything);
    const vector = vectorOf(1 + below(random, this.#contentCount + 1));
    try {
      const { hits, partial } = await this.#send(random, anyOf(random, [500, 5_000]), (api, context) => {
        return api.search.search(context, collectionName, { vector, topK, exact: random.fraction() < 0.5, consistency, includeVector: true, includePayload: true });
      });
      const seen = hits.map((hit) => ({ id: `${life.uid}/${hit.id}`, ...seenIn(hit) }));
      // Indexes of the simulation are exact, so that whatever fits is there.
      attempt.answered(seen, { complete: topK === everything && !partial });
    } catch (error) {
      this.#mustBeExplained('search', error);
    }
  }

  // ------------------------------------------------------------ choices

  #idAt(life: Life, place: number): string {
    for (;;) {
      const pointId = idOf(place, life.generations[place]!);
      const id = `${life.uid}/${pointId}`;
      if (!life.doubtful.has(id) || !life.history.isRetired(id)) return pointId;
      life.generations[place]!++;
    }
  }

  #call(kind: 'upsert' | 'set-payload' | 'delete', condition: { readonly condition?: Condition }): WriteCall {
    const content = ++this.#contentCount;
    if (kind === 'upsert') return { kind, content: { vector: content, payload: content }, ...condition };
    if (kind === 'set-payload') return { kind, payload: content, ...condition };
    return { kind, ...condition };
  }

  #condition(random: Random, life: Life, id: string): { readonly condition?: Condition } {
    const dice = random.fraction();
    if (dice < 0.7) return {};
    if (dice < 0.78) return { condition: { kind: 'absent' } };
    if (dice < 0.86) return { condition: { kind: 'present' } };
    const version = life.versions.get(id) ?? 0;
    return { condition: { kind: 'version', version } };
  }

  #consistency({ random, seqs }: Client): Consistency {
    const dice = random.fraction();
    if (dice < 0.6) return { level: 'linearizable' };
    if (dice < 0.9) return { level: 'session', tokens: Array.from(seqs, ([shardUID, seq]) => ({ shardUID, seq })) };
    return { level: 'eventual' };
  }

  // ------------------------------------------------------------ sending

  async #send<T>(random: Random, timeoutMs: number, call: (api: VectorApi, context: RequestContext) => Promise<T>): Promise<T> {
    const { scheduler } = this.#world;
    const gateway = anyOf(random, this.#world.names('gateway'));
    const controller = new AbortController();
    const identity = { subject: 'simulation', actions: ['read', 'write', 'admin'], collections: 'all' } as const;
    const context: RequestContext = { requestId: 'simulated', identity, signal: controller.signal, span: noSpan };
    return new Promise((resolve, reject) => {
      const deadline = scheduler.after(timeoutMs, () => {
        const reason = new ShoalError('DEADLINE_EXCEEDED', `no answer within ${timeoutMs} ms`);
        controller.abort(reason);
        reject(reason);
      });
      this.#world.atGateway(gateway, ({ api }) => call(api, context)).then(resolve, reject).finally(() => deadline.cancel());
    });
  }

  async #quiet(): Promise<void> {
    while (this.#inFlightCount > 0) await this.#world.scheduler.sleep(100);
  }

  /** Faults explain some errors; any other is a defect, whatever the history says. */
  #mustBeExplained(what: string, error: unknown): void {
    const code = error instanceof ShoalError ? error.code : undefined;
    if (code !== undefined) this.#world.count(`answered ${code}`);
    if (code !== undefined && (refusals.includes(code) || doubts.includes(code))) return;
    const explanation = error instanceof ShoalError ? `${error.code} ${error.message}` : String(error);
    this.#world.scheduler.fail(new Error(`${what} failed: ${explanation}`, { cause: error }));
  }
}

function idOf(place: number, generation: number): string {
  return `p${place}.${generation}`;
}

function write(api: VectorApi, context: RequestContext, requests: readonly (Request & { readonly call: WriteCall; readonly pointId: string })[]): Promise<WriteAnswer> {
  const conditionOf = ({ condition }: WriteCall): { readonly condition?: Condition } => (condition === undefined ? {} : { condition });
  switch (requests[0]!.call.kind) {
    case 'upsert':
      return api.points.upsert(context, collectionName, requests.map(({ pointId, call }) => {
        const { content } = call as Extract<WriteCall, { kind: 'upsert' }>;
        return { id: pointId, vector: vectorOf(content.vector), payload: payloadOf(content.payload), ...conditionOf(call) };
      }));
    case 'set-payload':
      return api.points.changePayload(context, collectionName, requests.map(({ pointId, call }) => {
        const { payload } = call as Extract<WriteCall, { kind: 'set-payload' }>;
        return { id: pointId, set: payloadOf(payload), ...conditionOf(call) };
      }));
    case 'delete':
      return api.points.delete(context, collectionName, requests.map(({ pointId, call }) => ({ id: pointId, ...conditionOf(call) })));
  }
}
