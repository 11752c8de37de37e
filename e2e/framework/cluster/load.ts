/**
 * Clients that write, read and search one after another until they are told to stop, and remember when each shard
 * acknowledged: the longest gap between two acknowledgements is the write outage of the shard.
 */

import { randomUUID } from 'node:crypto';
import { HashRing, splitHashSpace } from '../../../pods/domain/hash-range.ts';
import { PointServiceService as pointMethods, UpsertPointsRequest } from '../../../proto/gen/shoal/v1/point.ts';
import { packVector } from '../shoal-client.ts';
import { pause } from '../timeouts.ts';
import { RetryingClient } from './retrying-client.ts';

/** Where it sends to. */
export interface LoadTarget {
  readonly gateways: readonly { readonly name: string; readonly grpcAddress: string }[];
  readonly key: string;
}

export interface LoadOptions {
  readonly collection: string;
  readonly dimension: number;
  /** Of the collection. Each writer writes to one of them, in turns, so that a shard that waits holds up no other. */
  readonly shardCount: number;
  readonly writerCount: number;
  /** Each gets a point, then searches, and so on. */
  readonly readerCount: number;
  /** Of each client, after each answer. */
  readonly pauseMs: number;
  /** Points of each writer. */
  readonly idCount?: number;
}

export interface LoadCounts {
  readonly writes: number;
  readonly reads: number;
  readonly repeats: number;
  readonly failures: number;
}

const failuresKept = 10;

export class Load {
  /** Requests that failed for good, each with all its tries; the first of them. */
  readonly failures: string[] = [];
  readonly #target: LoadTarget;
  readonly #options: LoadOptions;
  /** No other load sends under the names of its clients. */
  readonly #name = randomUUID().slice(0, 8);
  /** Of each writer. */
  readonly #ids: readonly (readonly string[])[];
  readonly #clients: RetryingClient[] = [];
  readonly #running: Promise<void>[] = [];
  readonly #acknowledgedMs = new Map<string, number[]>();
  #writes = 0;
  #failures = 0;
  #reads = 0;
  #isStopped = false;

  constructor(target: LoadTarget, options: LoadOptions) {
    this.#target = target;
    this.#options = options;
    const ring = new HashRing(splitHashSpace(options.shardCount));
    this.#ids = Array.from({ length: options.writerCount }, (_, writer) => idsOf(writer, options.idCount ?? 100, (id) => ring.ownerOf(id) === writer % options.shardCount));
  }

  start(): void {
    const { writerCount, readerCount } = this.#options;
    for (let i = 0; i < writerCount; i++) this.#running.push(this.#write(i, this.#client()));
    for (let i = 0; i < readerCount; i++) this.#running.push(this.#read(i, this.#client()));
  }

  /** Resolves when every request under way has its answer. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#running);
    for (const client of this.#clients) client.close();
  }

  get counts(): LoadCounts {
    return { writes: this.#writes, reads: this.#reads, failures: this.#failures, repeats: this.#clients.reduce((sum, { repeatCount }) => sum + repeatCount, 0) };
  }

  /** When the shard first acknowledged a write after `sinceMs` (of `performance.now()`); undefined when it has not. */
  firstAcknowledgedMs(shardUID: string, sinceMs: number): number | undefined {
    return this.#acknowledgedMs.get(shardUID)?.find((atMs) => atMs > sinceMs);
  }

  /** The longest gap between acknowledgements of the shard that ends after `fromMs` and begins before `toMs`; one that lasts yet counts up to now. */
  longestGap(shardUID: string, fromMs: number, toMs: number): { readonly lengthMs: number; readonly endMs: number } {
    let longest = { lengthMs: 0, endMs: fromMs };
    const times = [...(this.#acknowledgedMs.get(shardUID) ?? []), performance.now()];
    for (let i = 1; i < times.length; i++) {
      const [beganMs, endMs] = [times[i - 1]!, times[i]!];
      if (endMs > fromMs && beganMs < toMs && endMs - beganMs > longest.lengthMs) longest = { lengthMs: endMs - beganMs, endMs };
    }
    return longest;
  }

  #client(): RetryingClient {
    const client = new RetryingClient(this.#target.gateways, this.#target.key, this.#clients.length);
    this.#clients.push(client);
    return client;
  }

  async #write(writer: number, client: RetryingClient): Promise<void> {
    const { collection, pauseMs } = this.#options;
    const ids = this.#ids[writer]!;
    for (let number = 1; !this.#isStopped; number++) {
      const point = { id: ids[number % ids.length]!, packedVector: this.#vector(writer, number) };
      const request = UpsertPointsRequest.fromPartial({ collection, points: [point], clientId: `${this.#name}-${writer}`, requestNumber: BigInt(number) });
      await this.#attempt(`write ${writer}/${number}`, async () => {
        const { tokens } = await client.send(({ connection }, options) => connection.call(pointMethods.upsertPoints, request, options));
        const nowMs = performance.now();
        for (const { shardUid } of tokens) {
          const times = this.#acknowledgedMs.get(shardUid);
          if (times === undefined) this.#acknowledgedMs.set(shardUid, [nowMs]);
          else times.push(nowMs);
        }
        this.#writes++;
      });
      await pause(pauseMs);
    }
  }

  async #read(reader: number, client: RetryingClient): Promise<void> {
    const { collection, pauseMs } = this.#options;
    const ids = this.#ids.flat();
    for (let number = 1; !this.#isStopped; number++) {
      // Every level of consistency has its turn.
      const consistency = { level: number % 4 < 2 ? 'linearizable' : 'eventual' };
      await this.#attempt(`read ${reader}/${number}`, async () => {
        if (number % 2 === 0) await client.send((shoal, options) => shoal.get(collection, [ids[(number * 7) % ids.length]!], consistency, options));
        else await client.send((shoal, options) => shoal.search(collection, { packedVector: this.#vector(reader, number), topK: 5, consistency }, options));
        this.#reads++;
      });
      await pause(pauseMs);
    }
  }

  async #attempt(what: string, request: () => Promise<void>): Promise<void> {
    try {
      await request();
    } catch (error) {
      if (++this.#failures <= failuresKept) this.failures.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #vector(writer: number, number: number): Uint8Array {
    return packVector(Float32Array.from({ length: this.#options.dimension }, (_, i) => Math.sin(writer * 7 + number * 13 + i)));
  }
}

/** Names of points that the shard holds. */
function idsOf(writer: number, count: number, isWanted: (id: string) => boolean): readonly string[] {
  const ids: string[] = [];
  for (let i = 0; ids.length < count; i++) {
    const id = `writer-${writer}-point-${i}`;
    if (isWanted(id)) ids.push(id);
  }
  return ids;
}
