/**
 * Clients whose every request goes into a history, for the judge of the run's end: upserts, conditional ones, payload
 * changes, deletions, batches, gets and searches at every level of consistency, through every gateway, sent again under
 * their number when nobody knows what became of them. Most clients keep to one shard each, so that a shard that stands
 * still does not stop the writes to the others, and its outage is its own.
 */

import {
  ChangePayloadRequest, DeletePointsRequest, GetPointsRequest, PointServiceService as pointMethods, UpsertPointsRequest,
  type ItemResult, type WriteCondition,
} from '../../../proto/gen/shoal/v1/point.ts';
import type { ConsistencyToken } from '../../../proto/gen/shoal/v1/consistency.ts';
import type { Consistency } from '../../../pods/domain/consistency.ts';
import type { ItemOutcome } from '../../../pods/domain/write.ts';
import { below, seededRandom, type Random } from '../../../pods/kernel/random.ts';
import { History, type Attempt, type Condition, type GetAnswer, type Request, type Seen, type WriteAnswer, type WriteCall } from '../../checker/history.ts';
import { payloadOf, seenIn, vectorOf } from '../../sim/cluster/contents.ts';
import { GrpcFailure } from '../grpc-client.ts';
import { packVector, ShoalClient, unpackVector } from '../shoal-client.ts';
import { pause } from '../timeouts.ts';
import { IdPool } from './id-pool.ts';

export interface JudgedLoadOptions {
  readonly collection: string;
  readonly shardCount: number;
  readonly clientCount: number;
  /** Ids in use at one time. */
  readonly idCount: number;
  /** Of each client, after each answer. */
  readonly meanPauseMs: number;
  readonly seed: number;
}

/** Of a request for one point these say that nothing was done (docs/consistency.md). */
const refusals: ReadonlySet<string> = new Set(['NOT_PRIMARY', 'NOT_IN_SYNC', 'STALE_EPOCH', 'NOT_ENOUGH_IN_SYNC', 'OVERLOADED', 'STORAGE_READ_ONLY', 'REQUEST_TOO_OLD']);
/** These say nothing of what was done. Any other code is a defect, whatever the history says. */
const doubts: ReadonlySet<string> = new Set(['OUTCOME_UNKNOWN', 'DEADLINE_EXCEEDED', 'UNAVAILABLE', 'SHUTTING_DOWN']);
const sendCountMax = 4;
const deadlinesMs = [700, 2_500, 8_000, 20_000];
/** An id is left alone after so many operations, because judging an id costs more than its operations. */
const operationsPerIdMax = 400;
const freeClientShare = 4;

interface Client {
  readonly id: string;
  readonly random: Random;
  readonly connections: readonly { readonly gateway: string; readonly client: ShoalClient }[];
  /** Undefined: all of them. */
  readonly shard: number | undefined;
  requestNumber: number;
  /** Newest seq that it was told of each shard. */
  readonly seqs: Map<string, number>;
}

type PointRequest = Request & { readonly call: WriteCall };

export class JudgedLoad {
  readonly history = new History(() => Math.round(performance.now() - this.#beganMs));
  /** Codes of failed tries, with how many. */
  readonly failedTries = new Map<string, number>();
  /** Answers that are no failures, by gateway. */
  readonly answerCounts = new Map<string, number>();
  /** What no fault explains. */
  readonly defects: string[] = [];
  readonly #options: JudgedLoadOptions;
  readonly #gateways: readonly { readonly name: string; readonly grpcAddress: string }[];
  readonly #key: string;
  readonly #beganMs = performance.now();
  readonly #clients: Client[] = [];
  readonly #running: Promise<void>[] = [];
  readonly #ids: IdPool;
  readonly #doubtful = new Set<string>();
  readonly #versions = new Map<string, number>();
  /** By shard UID, of `performance.now()`. */
  readonly #acknowledgedMs = new Map<string, number[]>();
  #contentCount = 0;
  #isStopped = false;

  constructor(gateways: readonly { readonly name: string; readonly grpcAddress: string }[], key: string, options: JudgedLoadOptions) {
    this.#gateways = gateways;
    this.#key = key;
    this.#options = options;
    const isRetired = (id: string): boolean => this.#doubtful.has(id) && this.history.isRetired(id);
    this.#ids = new IdPool({ shardCount: options.shardCount, idCount: options.idCount, usesMax: operationsPerIdMax, isRetired });
  }

  start(): void {
    const { clientCount, seed, shardCount } = this.#options;
    for (let i = 0; i < clientCount; i++) {
      const connections = this.#gateways.map(({ name, grpcAddress }) => ({ gateway: name, client: new ShoalClient({ grpcAddress, key: this.#key }) }));
      const shard = i % freeClientShare === 0 ? undefined : i % shardCount;
      const client: Client = { id: `client-${i}`, random: seededRandom(seed + i), connections, shard, requestNumber: 0, seqs: new Map() };
      this.#clients.push(client);
      this.#running.push(this.#live(client));
    }
  }

  /** Resolves when every request under way has its answer or its deadline. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#running);
    for (const { connections } of this.#clients) for (const { client } of connections) client.close();
  }

  /** The longest time without an acknowledged write of the shard that touches the window; by `performance.now()`. */
  longestOutageMs(shardUID: string, fromMs: number, toMs: number): number {
    const times = this.#acknowledgedMs.get(shardUID) ?? [];
    let longestMs = 0;
    for (let i = 0; i <= times.length; i++) {
      const beganMs = times[i - 1] ?? fromMs;
      const endMs = times[i] ?? toMs;
      if (endMs > fromMs && beganMs < toMs) longestMs = Math.max(longestMs, endMs - beganMs);
    }
    return longestMs;
  }

  // ------------------------------------------------------------ a client

  async #live(client: Client): Promise<void> {
    while (!this.#isStopped) {
      try {
        const dice = client.random.fraction();
        if (dice < 0.55) await this.#write(client);
        else if (dice < 0.85) await this.#get(client);
        else await this.#search(client);
      } catch (error) {
        this.#defect(`${client.id}: ${(error as Error).stack}`);
      }
      await pause(-this.#options.meanPauseMs * Math.log(1 - client.random.fraction()));
    }
  }

  async #write(client: Client): Promise<void> {
    const { random } = client;
    const ids = new Set<string>();
    for (let count = random.fraction() < 0.75 ? 1 : 2 + below(random, 3); count > 0; count--) ids.add(this.#ids.choose(random, client.shard));
    const kind = anyOf(random, ['upsert', 'upsert', 'upsert', 'set-payload', 'delete'] as const);
    const requestNumber = ++client.requestNumber;
    const requests = Array.from(ids, (id): PointRequest => ({ id, clientId: client.id, requestNumber, call: this.#call(kind, this.#condition(random, id)) }));
    for (let sent = 1; ; sent++) {
      const attempts = requests.map((request) => this.history.invoke(request));
      try {
        const { items, tokens } = await this.#send(client, (shoal, options) => this.#sendWrite(shoal, requests, options));
        this.#acknowledged(client, tokens);
        attempts.forEach((attempt, i) => attempt.answered(writeAnswer(items[i]!, tokens)));
        items.forEach(({ id, version }) => this.#versions.set(id, Number(version)));
        return;
      } catch (error) {
        this.#settle(client, kind, error, requests, attempts);
        if (sent >= sendCountMax || this.#isStopped || random.fraction() < 0.2) return;
      }
      await pause(1_000 * random.fraction());
    }
  }

  #settle(client: Client, kind: string, error: unknown, requests: readonly PointRequest[], attempts: readonly Attempt<WriteAnswer>[]): void {
    const isRefused = requests.length === 1 && error instanceof GrpcFailure && refusals.has(error.code ?? '');
    for (const attempt of attempts) {
      if (isRefused) attempt.failed();
      else attempt.lost();
    }
    if (!isRefused) for (const { id } of requests) this.#doubtful.add(id);
    this.#mustBeExplained(`${kind} of ${client.id}`, error);
  }

  #acknowledged(client: Client, tokens: readonly ConsistencyToken[]): void {
    const nowMs = performance.now();
    for (const { shardUid, seq } of tokens) {
      client.seqs.set(shardUid, Math.max(Number(seq), client.seqs.get(shardUid) ?? 0));
      const times = this.#acknowledgedMs.get(shardUid);
      if (times === undefined) this.#acknowledgedMs.set(shardUid, [nowMs]);
      else times.push(nowMs);
    }
  }

  async #get(client: Client): Promise<void> {
    const id = this.#ids.choose(client.random, client.shard);
    const consistency = this.#consistency(client);
    const attempt: Attempt<GetAnswer> = this.history.invoke({ id, clientId: client.id, requestNumber: ++client.requestNumber, call: { kind: 'get', consistency } });
    try {
      const request = GetPointsRequest.fromPartial({ collection: this.#options.collection, ids: [id], packVectors: true, consistency: onWire(consistency) });
      const { points } = await this.#send(client, ({ connection }, options) => connection.call(pointMethods.getPoints, request, options));
      attempt.answered({ seen: points[0] === undefined ? undefined : seenOnWire(points[0]) });
    } catch (error) {
      attempt.lost();
      this.#mustBeExplained(`get of ${client.id}`, error);
    }
  }

  async #search(client: Client): Promise<void> {
    const { random } = client;
    const consistency = this.#consistency(client);
    // Ids that are left alone are still there, and others come into use while it is under way.
    const everything = this.#ids.idCount + this.#options.idCount;
    const topK = random.fraction() < 0.5 ? everything : 1 + below(random, 20);
    const attempt = this.history.search(client.id, consistency);
    try {
      const query = { packedVector: packVector(vectorOf(1 + below(random, this.#contentCount + 1))), topK, exact: true, includeVector: true, packVectors: true, consistency: onWire(consistency) };
      const { hits, partial } = await this.#send(client, (shoal, options) => shoal.search(this.#options.collection, query, options));
      attempt.answered(hits.map((hit) => ({ id: hit.id, ...seenOnWire(hit) })), { complete: topK === everything && !partial });
    } catch (error) {
      this.#mustBeExplained(`search of ${client.id}`, error);
    }
  }

  // ------------------------------------------------------------ choices

  #call(kind: WriteCall['kind'], condition: { readonly condition?: Condition }): WriteCall {
    if (kind === 'delete') return { kind, ...condition };
    const content = ++this.#contentCount;
    return kind === 'upsert' ? { kind, content: { vector: content, payload: content }, ...condition } : { kind, payload: content, ...condition };
  }

  #condition(random: Random, id: string): { readonly condition?: Condition } {
    const dice = random.fraction();
    if (dice < 0.6) return {};
    if (dice < 0.7) return { condition: { kind: 'absent' } };
    if (dice < 0.8) return { condition: { kind: 'present' } };
    return { condition: { kind: 'version', version: this.#versions.get(id) ?? 0 } };
  }

  #consistency({ random, seqs }: Client): Consistency {
    const dice = random.fraction();
    if (dice < 0.6) return { level: 'linearizable' };
    if (dice < 0.9) return { level: 'session', tokens: Array.from(seqs, ([shardUID, seq]) => ({ shardUID, seq })) };
    return { level: 'eventual' };
  }

  // ------------------------------------------------------------ sending

  async #send<Answer>({ random, connections }: Client, request: (client: ShoalClient, options: { readonly timeoutMs: number }) => Promise<Answer>): Promise<Answer> {
    const { client, gateway } = anyOf(random, connections);
    const answer = await request(client, { timeoutMs: anyOf(random, deadlinesMs) });
    this.answerCounts.set(gateway, (this.answerCounts.get(gateway) ?? 0) + 1);
    return answer;
  }

  #sendWrite({ connection }: ShoalClient, requests: readonly PointRequest[], options: { readonly timeoutMs: number }): Promise<{ readonly items: ItemResult[]; readonly tokens: ConsistencyToken[] }> {
    const { clientId, requestNumber, call } = requests[0]!;
    const named = { collection: this.#options.collection, clientId, requestNumber: BigInt(requestNumber) };
    const conditionOf = ({ condition }: WriteCall): { readonly condition?: WriteCondition } => (condition === undefined ? {} : { condition: conditionOnWire(condition) });
    switch (call.kind) {
      case 'upsert': {
        const points = requests.map(({ id, call }) => {
          const { content } = call as Extract<WriteCall, { kind: 'upsert' }>;
          return { id, packedVector: packVector(vectorOf(content.vector)), payload: payloadOf(content.payload), ...conditionOf(call) };
        });
        return connection.call(pointMethods.upsertPoints, UpsertPointsRequest.fromPartial({ ...named, points }), options);
      }
      case 'set-payload': {
        const changes = requests.map(({ id, call }) => ({ id, set: payloadOf((call as Extract<WriteCall, { kind: 'set-payload' }>).payload), ...conditionOf(call) }));
        return connection.call(pointMethods.changePayload, ChangePayloadRequest.fromPartial({ ...named, changes }), options);
      }
      case 'delete': {
        const points = requests.map(({ id, call }) => ({ id, ...conditionOf(call) }));
        return connection.call(pointMethods.deletePoints, DeletePointsRequest.fromPartial({ ...named, points }), options);
      }
    }
  }

  #mustBeExplained(what: string, error: unknown): void {
    if (!(error instanceof GrpcFailure)) throw error;
    const name = error.code ?? `${error.status} without a code`;
    this.failedTries.set(name, (this.failedTries.get(name) ?? 0) + 1);
    const isExplained = error.code === undefined ? error.status === 'UNAVAILABLE' || error.status === 'DEADLINE_EXCEEDED' : refusals.has(error.code) || doubts.has(error.code);
    if (!isExplained) this.#defect(`${what} failed: ${error.code ?? ''} ${error.message}`);
  }

  #defect(what: string): void {
    this.defects.push(`${((performance.now() - this.#beganMs) / 1_000).toFixed(1)} s: ${what}`);
  }
}

/** What a point shows of what was written into it. */
export function seenOnWire(point: { readonly id: string; readonly version: bigint; readonly packedVector: Uint8Array; readonly payload?: Record<string, unknown> | undefined }): Seen {
  const { id, version, payload } = point;
  return seenIn({ id, version: Number(version), vector: unpackVector(point), payload } as Parameters<typeof seenIn>[0]);
}

function writeAnswer({ outcome, version }: ItemResult, tokens: readonly ConsistencyToken[]): WriteAnswer {
  return { outcome: outcome as ItemOutcome, version: Number(version), tokens: tokens.map(({ shardUid, seq }) => ({ shardUID: shardUid, seq: Number(seq) })) };
}

function onWire(consistency: Consistency): { level: string; tokens: ConsistencyToken[] } {
  const tokens = consistency.level === 'session' ? consistency.tokens.map(({ shardUID, seq }) => ({ shardUid: shardUID, seq: BigInt(seq) })) : [];
  return { level: consistency.level, tokens };
}

function conditionOnWire(condition: Condition): WriteCondition {
  switch (condition.kind) {
    case 'absent':
      return { kind: { $case: 'absent', absent: true } };
    case 'present':
      return { kind: { $case: 'present', present: true } };
    case 'version':
      return { kind: { $case: 'version', version: BigInt(condition.version) } };
  }
}

function anyOf<T>(random: Random, values: readonly T[]): T {
  return values[below(random, values.length)]!;
}
