/**
 * Load as clients outside of a cluster make it: through the ingress, with a key, by HTTP and gRPC in turns, in an open loop,
 * so that what stands still piles up requests instead of slowing them down. Each request is repeated as docs/consistency.md
 * advises. Every acknowledged write is remembered, and compared with what is there in the end.
 */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load as parseYaml } from 'js-yaml';
import { HashRing, splitHashSpace } from '../../../pods/domain/hash-range.ts';
import { below, type Random } from '../../../pods/kernel/random.ts';
import { HttpFailure, repeatedRequest } from '../../framework/cluster/repeated-request.ts';
import { chartDirectory } from '../../framework/kubernetes/chart.ts';
import { countFrom } from '../../framework/seed.ts';
import { ShoalClient } from '../../framework/shoal-client.ts';
import { pause } from '../../framework/timeouts.ts';
import type { TestCluster } from './connect.ts';
import { httpByHost } from './http-by-host.ts';
import { routed } from './routed.ts';
import { WriteLedger } from './write-ledger.ts';

/** A client may have 128 requests under way (docs/consistency.md); this many share what piles up in 20 s. */
const clientCount = 32;
const dimension = 8;
/** Then the next try begins: an answer that got lost on a broken connection never comes. */
const oneTryMs = 5_000;
const failuresKept = 10;
const overwriteShare = 0.5;
const writeShare = 0.5;

export interface IngressLoadOptions {
  readonly cluster: TestCluster;
  readonly host: string;
  readonly key: string;
  readonly collection: string;
  readonly shardCount: number;
  readonly random: Random;
  /** Of all operations together. */
  readonly perSecond?: number;
}

/** Values with which the chart has an ingress for `host`, HTTP and gRPC, as the test cluster's controller wants it. */
export function ingressValues(host: string): object {
  const contour = parseYaml(readFileSync(join(chartDirectory, 'values-contour.yaml'), 'utf8')) as { readonly ingress: object; readonly gateway: object };
  return { ingress: { ...contour.ingress, http: { host } }, gateway: { ...contour.gateway, autoscaling: { enabled: false }, replicas: 2 } };
}

export class IngressLoad {
  /** Requests that failed for good, each with all its tries; the first of them. */
  readonly failures: string[] = [];
  readonly counts = { writes: 0, gets: 0, searches: 0, repeats: 0, failures: 0 };
  readonly #options: IngressLoadOptions;
  readonly #address: string;
  readonly #grpc: readonly ShoalClient[];
  readonly #ring: HashRing;
  readonly #name = randomUUID().slice(0, 8);
  readonly #requestNumbers = new Array<number>(clientCount).fill(0);
  /** Each write has a number of its own, which is in the payload. */
  readonly #ledger = new WriteLedger();
  readonly #acknowledgedMs: number[][];
  readonly #underWay = new Set<Promise<void>>();
  #loop: Promise<void> | undefined;
  #isStopped = false;
  #operationCount = 0;

  constructor(options: IngressLoadOptions) {
    const { cluster, host, key, shardCount } = options;
    assert.ok(cluster.ingress !== undefined, 'SHOAL_INGRESS says where the ingress controller answers');
    this.#options = options;
    this.#address = cluster.ingress.includes(':') ? cluster.ingress : `${cluster.ingress}:80`;
    this.#grpc = [0, 1].map(() => new ShoalClient({ grpcAddress: this.#address, key, authority: host }));
    this.#ring = new HashRing(splitHashSpace(shardCount));
    this.#acknowledgedMs = Array.from({ length: shardCount }, () => []);
  }

  /** Waits until the ingress controller knows the way, by both protocols, then begins. */
  async start(): Promise<void> {
    const { host, key, collection } = this.#options;
    await routed(`a route for ${host}`, async () => {
      const { status } = await httpByHost(this.#address, host, `/shoal/v1/collections/${collection}`, { key, ownConnection: true });
      if (status !== 200) return `it answers ${status}`;
      const client = new ShoalClient({ grpcAddress: this.#address, key, authority: host });
      await client.collection(collection).finally(() => client.close());
      return undefined;
    });
    this.#loop = this.#run();
  }

  /** Resolves when every request under way has its end. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#loop;
    await Promise.all(this.#underWay);
  }

  close(): void {
    for (const client of this.#grpc) client.close();
  }

  /** The longest gap between acknowledged writes of a shard that ends after `fromMs` and begins before `toMs`, of `performance.now()`; one that lasts yet counts up to now. */
  longestGapMs(fromMs: number, toMs: number, shards: readonly number[] = [...this.#acknowledgedMs.keys()]): number {
    let longestMs = 0;
    for (const shard of shards) {
      const times = [...this.#acknowledgedMs[shard]!, performance.now()];
      for (let i = 1; i < times.length; i++) if (times[i]! > fromMs && times[i - 1]! < toMs) longestMs = Math.max(longestMs, times[i]! - times[i - 1]!);
    }
    return longestMs;
  }

  /** Has the shard acknowledged a write after `sinceMs`? */
  isWritten(shard: number, sinceMs: number): boolean {
    return (this.#acknowledgedMs[shard]!.at(-1) ?? 0) > sinceMs;
  }

  /** No acknowledged write is lost, and no request has failed. To be called after `stop`. */
  async mustHold(): Promise<void> {
    assert.deepEqual(this.failures, []);
    const points = await this.#grpc[0]!.scrollAll(this.#options.collection, 500, undefined, { level: 'linearizable' });
    const found = new Map(points.map(({ id, payload }) => [id, (payload as { number: number }).number]));
    const lost = this.#ledger.lost(found);
    assert.deepEqual(lost.slice(0, failuresKept), [], `${lost.length} of ${this.#ledger.ids.length} points are not what was acknowledged`);
    assert.ok(this.counts.writes > 0 && this.counts.gets > 0 && this.counts.searches > 0);
  }

  summary(): string {
    const { writes, gets, searches, repeats, failures } = this.counts;
    return `${writes} writes to ${this.#ledger.ids.length} points, ${gets} gets and ${searches} searches answered, ${repeats} tries repeated, ${failures} requests failed`;
  }

  async #run(): Promise<void> {
    const intervalMs = 1_000 / (this.#options.perSecond ?? countFrom('SHOAL_LOAD_RATE', 40));
    let nextMs = performance.now();
    while (!this.#isStopped) {
      const operation = this.#operate(this.#operationCount++).finally(() => this.#underWay.delete(operation));
      this.#underWay.add(operation);
      // Late by more than a second, what was missed is left out: a machine that stood still does not answer with a burst.
      nextMs = Math.max(nextMs + intervalMs, performance.now() - 1_000);
      const waitMs = nextMs - performance.now();
      if (waitMs > 0) await pause(waitMs);
    }
  }

  async #operate(number: number): Promise<void> {
    const byHttp = number % 2 === 0;
    const { random } = this.#options;
    const dice = random.fraction();
    const kind = dice < writeShare || this.#ledger.ids.length === 0 ? 'write' : dice < writeShare + (1 - writeShare) / 2 ? 'get' : 'search';
    try {
      if (kind === 'write') await this.#write(number, byHttp);
      else if (kind === 'get') await this.#get(this.#ledger.ids[below(random, this.#ledger.ids.length)]!, byHttp);
      else await this.#search(number, byHttp);
    } catch (error) {
      this.counts.failures++;
      if (this.failures.length < failuresKept) this.failures.push(`${kind} ${number} by ${byHttp ? 'HTTP' : 'gRPC'}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  async #write(number: number, byHttp: boolean): Promise<void> {
    const { random, collection } = this.#options;
    const { ids } = this.#ledger;
    let id = `${this.#name}-${number}`;
    if (ids.length > 0 && random.fraction() < overwriteShare) {
      const present = ids[below(random, ids.length)]!;
      if (!this.#ledger.isOpen(present)) id = present;
    }
    const lane = number % clientCount;
    const requestNumber = ++this.#requestNumbers[lane]!;
    const request = { points: [{ id, vector: vectorOf(number), payload: { number } }], clientId: `${this.#name}-${lane}`, requestNumber };
    this.#ledger.begin(id);
    await this.#send(
      byHttp,
      (timeoutMs) => this.#http('/points', request, timeoutMs),
      (client, options) => client.upsert({ collection, ...request, requestNumber: BigInt(requestNumber) }, options),
    );
    this.#ledger.acknowledge(id, number);
    this.#acknowledgedMs[this.#ring.ownerOf(id)]!.push(performance.now());
    this.counts.writes++;
  }

  /** What was acknowledged before is there, and nothing older. */
  async #get(id: string, byHttp: boolean): Promise<void> {
    const { collection } = this.#options;
    const atLeast = this.#ledger.acknowledged(id)!;
    const consistency = { level: 'linearizable' };
    const points = await this.#send<readonly { readonly payload?: unknown }[]>(
      byHttp,
      async (timeoutMs) => ((await this.#http('/points/get', { ids: [id], consistency }, timeoutMs)) as { points: { payload: unknown }[] }).points,
      (client, options) => client.get(collection, [id], consistency, options),
    );
    const seen = (points[0]?.payload as { number: number } | undefined)?.number;
    // Numbers of one id grow, because one write of it is under way at a time.
    if (seen === undefined || seen < atLeast) throw new Error(`${id}: ${atLeast} was acknowledged before, ${seen ?? 'nothing'} was read`);
    this.counts.gets++;
  }

  async #search(number: number, byHttp: boolean): Promise<void> {
    const { collection } = this.#options;
    const query = { vector: vectorOf(number), topK: 5 };
    await this.#send(
      byHttp,
      (timeoutMs) => this.#http('/search', query, timeoutMs),
      (client, options) => client.search(collection, query, options),
    );
    this.counts.searches++;
  }

  #send<Answer>(byHttp: boolean, http: (timeoutMs: number) => Promise<unknown>, grpc: (client: ShoalClient, options: { readonly timeoutMs: number }) => Promise<Answer>): Promise<Answer> {
    let tries = 0;
    return repeatedRequest<Answer>(
      () => {
        const client = this.#grpc[tries++ % this.#grpc.length]!;
        return {
          gateway: byHttp ? 'HTTP' : 'gRPC',
          send: async (options) => {
            const timeoutMs = Math.min(options.timeoutMs, oneTryMs);
            return byHttp ? ((await http(timeoutMs)) as Answer) : grpc(client, { timeoutMs });
          },
        };
      },
      () => this.counts.repeats++,
    );
  }

  async #http(path: string, body: object, timeoutMs: number): Promise<unknown> {
    const { host, key, collection } = this.#options;
    const answer = await httpByHost(this.#address, host, `/shoal/v1/collections/${collection}${path}`, { key, body, timeoutMs }).catch((error: Error) => {
      throw new HttpFailure(0, undefined, error.message);
    });
    if (answer.status === 200) return answer.json;
    const { code, message } = (answer.json as { error?: { code: string; message: string } } | undefined)?.error ?? {};
    throw new HttpFailure(answer.status, code, `${answer.status}: ${message ?? answer.text.slice(0, 200)}`);
  }
}

function vectorOf(number: number): number[] {
  return Array.from({ length: dimension }, (_, i) => Math.sin(number * 13 + i));
}
