/**
 * One life of an engine by seed: a few processes one after another on one machine, each ended in some way, with requests
 * of several clients at once and whatever goes wrong meanwhile. The model says what every point may be; `verify` reads
 * everything in several ways and compares.
 */

import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { CollectionDescription, PointView, WriteAnswer } from '../../pods/api/vector-api.ts';
import type { RequestContext } from '../../pods/api/context.ts';
import { HashRing, splitHashSpace } from '../../pods/domain/hash-range.ts';
import type { CollectionInput } from '../../pods/domain/collection.ts';
import type { Filter, PayloadIndexSpec } from '../../pods/domain/filter.ts';
import { scoreFromDistance } from '../../pods/domain/metric.ts';
import type { Idempotency } from '../../pods/domain/write.ts';
import { ShoalError, type ErrorCode } from '../../pods/kernel/errors.ts';
import { below, seededRandom, type Random } from '../../pods/kernel/random.ts';
import { noSpan } from '../../pods/kernel/span.ts';
import { dataRoot, Machine, type EngineProcess } from './machine.ts';
import { evaluate, filterAccepts, PointModel, show, type Item, type Present, type ShardPart, type State } from './point-model.ts';

const linearizable = { level: 'linearizable' } as const;
const allParts = { includeVector: true, includePayload: true, consistency: linearizable } as const;
const ids = [...Array.from({ length: 18 }, (_, i) => `p${i}`), 'ß/ü', 'x'.repeat(120)];
const clientCount = 3;
const inFlightMax = 6;
/** More turns than any request needs when nothing is broken. */
const turnCountMax = 6_000;

/** Errors that say that nothing was done. */
const refusals: readonly ErrorCode[] = ['STORAGE_READ_ONLY', 'UNAVAILABLE', 'NOT_PRIMARY', 'OVERLOADED', 'SHUTTING_DOWN'];
const doubts: readonly ErrorCode[] = ['OUTCOME_UNKNOWN', 'CANCELLED'];

interface CollectionModel {
  readonly input: CollectionInput & { readonly shards: number; readonly metric: 'cosine' | 'euclidean' | 'dot' };
  readonly ring: HashRing;
  readonly points: Map<string, PointModel>;
  shardUIDs: readonly string[];
  /** A creation or deletion whose outcome is not known. */
  inDoubt: boolean;
}

interface Operation {
  readonly name: string;
  readonly collection: CollectionModel;
  readonly items: readonly Item[];
  readonly parts: readonly ShardPart[];
  readonly idempotency: Idempotency | undefined;
  readonly call: (context: RequestContext) => Promise<WriteAnswer>;
  answer: WriteAnswer | undefined;
}

interface Decision {
  applied: boolean;
  skipped: boolean;
  seq: number | undefined;
}

export class EngineRun {
  readonly story: string[] = [];
  readonly counts = new Map<string, number>();
  readonly #random: Random;
  readonly #machine: Machine;
  #process!: EngineProcess;
  readonly #collections = new Map<string, CollectionModel>();
  readonly #requestNumbers = new Array<number>(clientCount).fill(0);
  readonly #inFlight = new Set<Promise<void>>();
  readonly #open = new Set<Operation>();
  #unknown: Operation[] = [];
  #answered: Operation[] = [];
  #operationCount = 0;
  #acknowledgedCount = 0;
  #failure: Error | undefined;
  #mustCrash = false;
  #damaged = false;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.#machine = new Machine(this.#random);
  }

  async run(): Promise<void> {
    const processCount = 2 + this.#below(3);
    for (let life = 0; life < processCount; life++) {
      await this.#start();
      await this.#verify();
      await this.#retryUnknown();
      await this.#live();
      await this.#end();
    }
    await this.#start();
    await this.#verify();
    if (this.#chance(0.5)) await this.#rot();
  }

  // ------------------------------------------------------------ processes

  async #start(): Promise<void> {
    while (this.#chance(0.15)) {
      const starting = this.#machine.start();
      starting.catch(() => undefined);
      await this.#turns(this.#below(60));
      this.#machine.end(this.#crashKind('while starting'));
    }
    this.#process = await this.#drive(this.#machine.start());
    this.#tell('started');
  }

  async #live(): Promise<void> {
    const stepCount = 10 + this.#below(30);
    for (let step = 0; step < stepCount && this.#process.failure() === undefined && !this.#mustCrash; step++) {
      await this.#step();
      await this.#turns(this.#below(6));
      if (this.#failure !== undefined) throw this.#failure;
    }
  }

  async #step(): Promise<void> {
    const dice = this.#random.fraction();
    if (dice < 0.04) return this.#createCollection();
    if (dice < 0.055) return this.#deleteCollection();
    if (dice < 0.08) return this.#deleteByFilter();
    if (dice < 0.11) return this.#changeIndexes();
    if (dice < 0.17) return this.#passTime();
    if (dice < 0.2) return this.#maintain();
    if (dice < 0.24) return this.#breakSomething();
    if (dice < 0.27) return this.#repair();
    if (dice < 0.3) return this.#pauseAndVerify();
    if (this.#inFlight.size >= inFlightMax || this.#collections.size === 0) return;
    if (dice < 0.4) return this.#read();
    if (dice < 0.45) return this.#repeatAnswered();
    this.#write();
  }

  async #end(): Promise<void> {
    const process = this.#process;
    if (process.failure() === undefined && !this.#mustCrash && this.#chance(0.2)) {
      await this.#quiesce();
      if (process.failure() === undefined) {
        this.#count('orderly end');
        this.#tell('closes');
        await this.#drive(this.#machine.close(process));
        return;
      }
    }
    if (process.failure() !== undefined) {
      this.#count('fatal error');
      this.#tell(`failed: ${process.failure()!.message}`);
    }
    this.#machine.end(this.#crashKind('at work'));
    this.#mustCrash = false;
    this.#inFlight.clear();
    this.#unknown.push(...this.#open);
    this.#open.clear();
  }

  #crashKind(when: string): 'power loss' | 'kill' {
    const how = this.#chance(0.5) ? 'power loss' : 'kill';
    this.#count(`${how} ${when}`);
    this.#tell(`${how} ${when}`);
    return how;
  }

  // ------------------------------------------------------------ collections

  async #createCollection(): Promise<void> {
    const name = this.#pick(['a', 'b', 'c']);
    if (this.#collections.has(name) || !(await this.#quiesce())) return;
    const input = {
      name,
      dimension: 2 + this.#below(3),
      metric: this.#pick(['cosine', 'euclidean', 'dot'] as const),
      shards: 1 + this.#below(3),
      index: { type: this.#pick(['hnsw', 'hnsw', 'flat'] as const) },
      payloadIndexes: this.#someIndexes(),
    };
    const collection: CollectionModel = {
      input,
      ring: new HashRing(splitHashSpace(input.shards)),
      points: new Map(ids.map((id) => [id, new PointModel()])),
      shardUIDs: [],
      inDoubt: true,
    };
    this.#collections.set(name, collection);
    this.#tell(`create ${JSON.stringify(input)}`);
    await this.#exclusive('create', async () => {
      const { created, collection: made } = await this.#process.api.collections.create(this.#context(), input);
      assert(created, 'a new collection is created');
      this.#created(collection, made);
    });
  }

  #created(collection: CollectionModel, { shards }: CollectionDescription): void {
    collection.shardUIDs = shards.map((shard) => shard.uid);
    collection.inDoubt = false;
  }

  async #deleteCollection(): Promise<void> {
    const [name, collection] = this.#pickCollection() ?? [];
    if (name === undefined || collection === undefined || !(await this.#quiesce()) || !(await this.#verify())) return;
    collection.inDoubt = true;
    this.#tell(`delete collection ${name}`);
    await this.#exclusive('delete collection', async () => {
      await this.#process.api.collections.delete(this.#context(), name);
      this.#collections.delete(name);
    });
  }

  async #changeIndexes(): Promise<void> {
    const [name] = this.#pickCollection() ?? [];
    if (name === undefined) return;
    // A full disk would make it wait for room.
    this.#repair();
    const payloadIndexes = this.#someIndexes();
    this.#tell(`payload indexes of ${name}: ${JSON.stringify(payloadIndexes)}`);
    await this.#exclusive('change indexes', async () => void (await this.#process.api.collections.update(this.#context(), name, { payloadIndexes })));
  }

  #someIndexes(): PayloadIndexSpec[] {
    const all: PayloadIndexSpec[] = [
      { field: 'number', type: 'integer' },
      { field: 'word', type: 'keyword' },
    ];
    return all.filter(() => this.#chance(0.5));
  }

  /** Alone of its kind, but requests that are under way go on. A crash may come in the middle. */
  async #exclusive(what: string, work: () => Promise<void>): Promise<void> {
    this.#count(what);
    const done = this.#guard(what, work());
    if (this.#chance(0.2)) {
      await this.#turns(this.#below(30));
      this.#mustCrash = true;
      return;
    }
    // A process that fails meanwhile may leave it unanswered.
    await this.#drive(done, () => this.#process.failure() !== undefined);
  }

  // ------------------------------------------------------------ writes

  #write(): void {
    const [name, collection] = this.#pickCollection() ?? [];
    if (name === undefined || collection === undefined || collection.inDoubt) return;
    const free = ids.filter((id) => collection.points.get(id)!.openCount < 2);
    const chosen = this.#shuffled(free).slice(0, 1 + this.#below(6));
    if (chosen.length === 0) return;
    const number = ++this.#operationCount;
    const kind = this.#pick(['upsert', 'upsert', 'upsert', 'delete', 'change'] as const);
    const items = chosen.map((id): Item => this.#newItem(kind, id, number, collection));
    const client = this.#below(clientCount);
    const idempotency = this.#chance(0.8) ? { clientId: `client-${client}`, requestNumber: ++this.#requestNumbers[client]! } : undefined;
    const call = (context: RequestContext): Promise<WriteAnswer> => {
      const api = this.#process.api.points;
      if (kind === 'upsert') return api.upsert(context, name, items.map((item) => ({ ...(item as Extract<Item, { kind: 'upsert' }>) })));
      if (kind === 'delete') return api.delete(context, name, items);
      return api.changePayload(context, name, items);
    };
    const operation: Operation = { name: `#${number} ${kind}`, collection, items, parts: this.#partsOf(collection, `#${number}`, items), idempotency, call, answer: undefined };
    this.#tell(`${operation.name} ${name} ${JSON.stringify(items.map((item) => ({ ...item, ...('vector' in item ? { vector: [...item.vector] } : {}) })))} ${idempotency === undefined ? '' : `${idempotency.clientId}/${idempotency.requestNumber}`}`);
    this.#count(kind);
    this.#launch(operation);
  }

  #partsOf(collection: CollectionModel, name: string, items: readonly Item[]): ShardPart[] {
    const byShard = new Map<number, Item[]>();
    for (const item of items) {
      const shard = collection.ring.ownerOf(item.id);
      byShard.set(shard, [...(byShard.get(shard) ?? []), item]);
    }
    return Array.from(byShard, ([shard, part]) => ({ name, shard, items: part, startedAt: this.#acknowledgedCount, acknowledgedAt: undefined, seq: undefined }));
  }

  #newItem(kind: 'upsert' | 'delete' | 'change', id: string, number: number, collection: CollectionModel): Item {
    const condition = this.#chance(0.3) ? { condition: this.#newCondition(collection.points.get(id)!.state) } : {};
    if (kind === 'delete') return { kind, id, ...condition };
    const payload = { owner: id, by: number, number: this.#below(6), word: this.#pick(['red', 'green', 'blue']) };
    if (kind === 'change') {
      const remove = this.#chance(0.3) ? { remove: [this.#pick(['word', 'number', 'nothing'])] } : {};
      return { kind, id, set: payload, ...remove, ...(this.#chance(0.3) ? { replace: true } : {}), ...condition };
    }
    return { kind, id, vector: this.#newVector(collection.input.dimension), payload, ...(this.#chance(0.2) ? { text: `text ${number}` } : {}), ...condition };
  }

  #newCondition(state: State): NonNullable<Item['condition']> {
    const version = typeof state?.version === 'number' ? state.version : 0;
    return this.#pick([{ kind: 'absent' }, { kind: 'present' }, { kind: 'version', version }, { kind: 'matches', filter: this.#newFilter() }] as const);
  }

  #newFilter(): Filter {
    return this.#pick<Filter>([
      { kind: 'range', field: 'number', gte: this.#below(6) },
      { kind: 'equals', field: 'word', value: this.#pick(['red', 'green', 'blue']) },
      { kind: 'and', filters: [{ kind: 'range', field: 'number', lt: 4 }, { kind: 'not', filter: { kind: 'equals', field: 'word', value: 'red' } }] },
      { kind: 'or', filters: [{ kind: 'in', field: 'number', values: [1, 2] }, { kind: 'not', filter: { kind: 'exists', field: 'word' } }] },
    ]);
  }

  #newVector(dimension: number): Float32Array {
    return Float32Array.from({ length: dimension }, () => 1 + this.#below(1_000) - 500 || 1);
  }

  #launch(operation: Operation): void {
    for (const part of operation.parts) for (const item of part.items) operation.collection.points.get(item.id)!.begin(part, item);
    this.#open.add(operation);
    const abort = new AbortController();
    if (this.#chance(0.06)) void this.#turns(this.#below(15)).then(() => (this.#count('abort'), abort.abort(new ShoalError('CANCELLED', 'the client went away'))));
    const send = (): Promise<WriteAnswer> => operation.call(this.#context(operation.idempotency, abort.signal));
    const twin = operation.idempotency !== undefined && this.#chance(0.1) ? send() : undefined;
    const first = send();
    const process = this.#process;
    const outcome = twin === undefined ? first : Promise.allSettled([first, twin]).then(([a, b]) => this.#agreed(operation, a, b));
    this.#track(
      outcome.then(
        (answer) => {
          if (process === this.#process && this.#open.delete(operation)) this.#acknowledge(operation, answer);
        },
        (error: unknown) => {
          if (process === this.#process && this.#open.delete(operation)) this.#rejected(operation, error);
        },
      ),
    );
  }

  /** A request sent twice at once has one outcome, however it is told. */
  #agreed(operation: Operation, a: PromiseSettledResult<WriteAnswer>, b: PromiseSettledResult<WriteAnswer>): WriteAnswer {
    this.#count('sent twice at once');
    if (a.status === 'fulfilled' && b.status === 'fulfilled') assert.deepEqual(sorted(a.value), sorted(b.value), `${operation.name} was answered in two ways`);
    if (a.status === 'fulfilled') return a.value;
    if (b.status === 'fulfilled') return b.value;
    const codes = [a, b].map(({ reason }) => (reason as ShoalError).code);
    throw codes.every((code) => refusals.includes(code)) ? a.reason : new ShoalError('OUTCOME_UNKNOWN', `rejected with ${codes.join(' and ')}`);
  }

  #acknowledge(operation: Operation, answer: WriteAnswer): void {
    const { collection } = operation;
    operation.answer = answer;
    this.#count('acknowledged');
    this.#tell(`${operation.name} acknowledged ${JSON.stringify(answer.items.map(({ outcome, version }) => `${outcome} ${version}`))} ${answer.tokens.map((token) => token.seq).join()}`);
    for (const part of operation.parts) {
      part.acknowledgedAt = this.#acknowledgedCount;
      part.seq = answer.tokens.find((token) => token.shardUID === collection.shardUIDs[part.shard])!.seq;
      for (const item of part.items) {
        const result = answer.items.find(({ id }) => id === item.id)!;
        if (result.outcome === 'created' || result.outcome === 'updated') assert.equal(result.version, part.seq, 'the version is the seq');
        collection.points.get(item.id)!.acknowledge(part, result);
      }
    }
    this.#acknowledgedCount++;
    if (operation.idempotency !== undefined) this.#answered.push(operation);
  }

  #rejected(operation: Operation, error: unknown): void {
    const code = this.#expectedCode(operation.name, error);
    if (code === undefined) return;
    const isRefused = operation.parts.length === 1 && refusals.includes(code);
    this.#count(isRefused ? 'refused' : 'outcome unknown');
    this.#tell(`${operation.name} ${isRefused ? 'refused' : 'unknown'}: ${(error as Error).message}`);
    if (!isRefused) return void this.#unknown.push(operation);
    for (const part of operation.parts) for (const item of part.items) operation.collection.points.get(item.id)!.forget(part);
  }

  /** D1: what was answered once is answered again, and nothing happens. */
  #repeatAnswered(): void {
    const operation = this.#answered[this.#below(this.#answered.length)];
    if (operation === undefined || ![...this.#collections.values()].includes(operation.collection)) return;
    this.#count('repeated');
    this.#tell(`${operation.name} repeated`);
    const process = this.#process;
    this.#track(
      operation.call(this.#context(operation.idempotency)).then(
        (answer) => assert.deepEqual(sorted(answer), sorted(operation.answer!), `${operation.name} repeated is answered otherwise`),
        (error: unknown) => void (process === this.#process && this.#expectedCode(operation.name, error)),
      ),
    );
  }

  async #deleteByFilter(): Promise<void> {
    const [name, collection] = this.#pickCollection() ?? [];
    if (name === undefined || collection === undefined || !(await this.#quiesce()) || !(await this.#verify())) return;
    const filter = this.#newFilter();
    const label = `#${++this.#operationCount} delete by filter`;
    this.#tell(`${label} ${name} ${JSON.stringify(filter)}`);
    const items = ids.map((id): Item => ({ kind: 'delete', id, condition: { kind: 'matches', filter } }));
    const parts = this.#partsOf(collection, label, items);
    for (const part of parts) for (const item of part.items) collection.points.get(item.id)!.begin(part, item);
    const states = [...collection.points.values()].map((point) => point.state);
    await this.#exclusive('delete by filter', async () => {
      const { deletedCount } = await this.#process.api.points.deleteByFilter(this.#context(), name, filter);
      assert.equal(deletedCount, states.filter((state) => filterAccepts(filter, state)).length, 'as many as match are deleted');
      for (const part of parts) {
        for (const item of part.items) {
          const point = collection.points.get(item.id)!;
          point.forget(part);
          point.state = evaluate(item, point.state, 0).after;
        }
      }
    });
  }

  // ------------------------------------------------------------ reads beside writes

  #read(): void {
    const [name, collection] = this.#pickCollection() ?? [];
    if (name === undefined || collection === undefined || collection.inDoubt) return;
    this.#count('read beside writes');
    const { api } = this.#process;
    const context = this.#context();
    const before = new Map([...collection.points].map(([id, point]) => [id, point.known()]));
    const filter = this.#chance(0.3) ? { filter: this.#newFilter() } : {};
    const isWhole = this.#chance(0.6);
    const topK = isWhole ? ids.length : 1 + this.#below(10);
    const form = this.#pick(['search', 'search', 'scroll', 'get'] as const);
    const search = { vector: this.#newVector(collection.input.dimension), topK, exact: this.#chance(0.5), ...allParts, ...filter };
    const reading: Promise<readonly (PointView | undefined)[]> =
      form === 'search'
        ? api.search.search(context, name, search).then(({ hits }) => hits)
        : form === 'scroll'
          ? api.points.scroll(context, name, { limit: topK, ...allParts, ...filter }).then(({ points }) => points)
          : api.points.get(context, name, { ids, ...allParts });
    const process = this.#process;
    const checked = reading.then((points) => {
      if (process !== this.#process) return;
      this.#checkViews(points);
      if (form === 'get' || (isWhole && !('filter' in filter))) this.#checkSteady(collection, before, points, form);
    });
    void this.#guard('read', checked);
  }

  #checkViews(points: readonly (PointView | undefined)[]): void {
    const seen = new Set<string>();
    for (const point of points) {
      if (point === undefined) continue;
      assert(!seen.has(point.id), `"${point.id}" comes twice`);
      seen.add(point.id);
      assert.equal(point.payload!['owner'], point.id, `"${point.id}" has the payload of another point`);
    }
  }

  /** Points that nobody touched while they were read are there as they are, or not. */
  #checkSteady(collection: CollectionModel, before: ReadonlyMap<string, ReturnType<PointModel['known']>>, points: readonly (PointView | undefined)[], form: string): void {
    for (const [id, known] of before) {
      if (known === undefined || collection.points.get(id)!.known()?.changeCount !== known.changeCount) continue;
      const found = points.find((point) => point?.id === id);
      assert.equal(found?.version, known.state?.version, `${form} beside writes gives "${id}" with version ${found?.version}; it is ${show(known.state)}`);
      this.#count('steady point read');
    }
  }

  // ------------------------------------------------------------ time and faults

  #passTime(): void {
    this.#process.clock.advance(this.#pick([50, 1_500, 12_000, 61_000, 130_000]));
  }

  async #maintain(): Promise<void> {
    const { pod } = this.#process;
    if (this.#chance(0.5)) {
      this.#count('log released');
      void this.#guard('release', pod.releaseLog());
      return;
    }
    for (const { replica } of pod.hosted()) {
      this.#count('checkpoint');
      void this.#guard('checkpoint', replica.checkpoint());
    }
    await this.#turns(this.#below(10));
  }

  async #breakSomething(): Promise<void> {
    const { disk, store } = this.#machine;
    const fault = this.#pick(['write errors', 'sync errors', 'disk full', 'store read errors', 'store write errors', 'store flush errors'] as const);
    this.#count(fault);
    this.#tell(fault);
    switch (fault) {
      case 'write errors':
        return void (disk.faults.writeError = 0.1);
      case 'sync errors':
        return void (disk.faults.syncError = 0.1);
      case 'disk full': {
        const huge = 1e12;
        disk.setCapacity(huge);
        const { freeBytes } = await disk.usage(dataRoot);
        return disk.setCapacity(huge - freeBytes + this.#below(3_000));
      }
      case 'store read errors':
        return store.setFaults({ readErrors: 0.01 });
      case 'store write errors':
        return store.setFaults({ writeErrors: 0.1 });
      case 'store flush errors':
        return store.setFaults({ flushErrors: 0.5 });
    }
  }

  #repair(): void {
    const { disk, store } = this.#machine;
    disk.setCapacity(Infinity);
    Object.assign(disk.faults, { writeError: 0, readError: 0, syncError: 0 });
    store.setFaults({ writeErrors: 0, flushErrors: 0, readErrors: 0 });
  }

  /** Bits flip somewhere: whatever is answered afterwards is right, or it is an error that says so. */
  async #rot(): Promise<void> {
    const isClosed = this.#chance(0.5);
    this.#storeKey = await this.#machine.randomStoreKey();
    if (isClosed) this.#machine.end('kill');
    await this.#flipSomething();
    this.#damaged = true;
    try {
      if (isClosed) this.#process = await this.#drive(this.#machine.start());
      await this.#verify();
      this.#count('rot without effect');
    } catch (error) {
      const code = error instanceof ShoalError ? error.code : undefined;
      if (code !== 'CORRUPTION' && code !== 'UNAVAILABLE' && code !== 'FORMAT_TOO_NEW' && code !== 'OUTCOME_UNKNOWN') throw error;
      this.#count('rot reported');
      this.#tell(`reported: ${code} ${(error as Error).message}`);
    }
  }

  #storeKey: Uint8Array | undefined;

  async #flipSomething(): Promise<void> {
    const { disk, store } = this.#machine;
    if (this.#chance(0.4)) {
      const at = this.#storeKey;
      if (at === undefined) return;
      this.#tell(`rot at store key ${Buffer.from(at).toString('hex')}`);
      this.#count('rot in the store');
      return store.corrupt(at);
    }
    const files: { path: string; sizeBytes: number }[] = [];
    const collect = async (directory: string): Promise<void> => {
      for (const name of await disk.list(directory)) {
        const path = `${directory}/${name}`;
        const content = await disk.readFile(path).catch(() => undefined);
        if (content === undefined) await collect(path);
        else if (content.length > 0) files.push({ path, sizeBytes: content.length });
      }
    };
    await collect(dataRoot);
    const { path, sizeBytes } = this.#pick(files);
    this.#count(`rot in ${path.split('/')[2]!}`);
    const offset = this.#below(sizeBytes);
    this.#tell(`rot in ${path} at ${offset} of ${sizeBytes}`);
    disk.flip(path, offset, this.#below(8));
  }

  // ------------------------------------------------------------ verification

  async #pauseAndVerify(): Promise<void> {
    if (await this.#quiesce()) await this.#verify();
  }

  /** Mends everything and waits for what is under way. False when the process has failed. */
  async #quiesce(): Promise<boolean> {
    this.#repair();
    for (let turn = 0; this.#inFlight.size > 0 && this.#process.failure() === undefined; turn++) {
      assert(turn < turnCountMax, `${this.#inFlight.size} requests never end`);
      await this.#turns(1);
      this.#process.clock.advance(this.#below(40));
      if (this.#failure !== undefined) throw this.#failure;
    }
    return this.#process.failure() === undefined;
  }

  /** False when the process failed meanwhile. */
  async #verify(): Promise<boolean> {
    if (this.#process.failure() !== undefined && !this.#damaged) return false;
    await this.#verifyCollections();
    for (const [name, collection] of this.#collections) await this.#verifyPoints(name, collection);
    return true;
  }

  async #verifyCollections(): Promise<void> {
    const { collections } = this.#process.api;
    const listed = await this.#drive(collections.list(this.#context()));
    for (const { spec } of listed) assert(this.#collections.has(spec.name), `collection "${spec.name}" should not exist`);
    for (const [name, collection] of this.#collections) {
      const found = listed.find(({ spec }) => spec.name === name);
      if (found === undefined) {
        assert(collection.inDoubt, `collection "${name}" is gone`);
        this.#collections.delete(name);
        continue;
      }
      if (collection.shardUIDs.length > 0) assert.deepEqual(found.shards.map((shard) => shard.uid), collection.shardUIDs);
      this.#created(collection, await this.#drive(this.#whenReady(name)));
    }
  }

  async #whenReady(name: string): Promise<CollectionDescription> {
    for (let turn = 0; ; turn++) {
      assert(turn < turnCountMax && (this.#damaged || this.#process.failure() === undefined), `collection "${name}" does not get ready: ${this.#process.failure()?.message}`);
      const found = await this.#process.api.collections.get(this.#context(), name);
      if (found.phase === 'ready' || this.#damaged) return found;
      await this.#turns(1);
    }
  }

  async #verifyPoints(name: string, collection: CollectionModel): Promise<void> {
    const { points } = this.#process.api;
    const views = await this.#drive(points.get(this.#context(), name, { ids, ...allParts }));
    const decisions = new Map<ShardPart, Decision>();
    const present: PointView[] = [];
    for (const [i, id] of ids.entries()) {
      const view = views[i];
      if (view !== undefined) present.push(view);
      const observed: State = view === undefined ? undefined : { version: view.version, vector: view.vector!, payload: view.payload!, text: view.text };
      try {
        for (const { part, applied, skipped, seq } of collection.points.get(id)!.settle(observed)) {
          const decision = decisions.get(part) ?? { applied: true, skipped: true, seq: undefined };
          decisions.set(part, decision);
          decision.applied &&= applied;
          decision.skipped &&= skipped;
          if (seq !== undefined) {
            assert(decision.seq === undefined || decision.seq === seq, `${part.name} gave versions ${decision.seq} and ${seq}`);
            decision.seq = seq;
          }
          assert(decision.applied || decision.skipped, `${part.name} happened in part`);
        }
      } catch (error) {
        throw new Error(`point "${id}" of "${name}": ${(error as Error).message}`, { cause: error });
      }
    }
    this.#decisions = new Map([...this.#decisions, ...decisions]);
    await this.#verifyOtherReads(name, collection, present);
  }
  #decisions = new Map<ShardPart, Decision>();

  /** Scroll, count and search agree with get. */
  async #verifyOtherReads(name: string, collection: CollectionModel, present: readonly PointView[]): Promise<void> {
    const { points, search } = this.#process.api;
    const filter = this.#newFilter();
    const matching = present.filter(({ payload }) => filterAccepts(filter, { payload } as Present));
    const scrolled: PointView[] = [];
    let cursor: string | undefined;
    const limit = 1 + this.#below(9);
    do {
      const page = await this.#drive(points.scroll(this.#context(), name, { limit, ...allParts, ...(cursor === undefined ? {} : { cursor }) }));
      scrolled.push(...page.points);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    const order = (a: PointView, b: PointView): number => {
      return collection.ring.ownerOf(a.id) - collection.ring.ownerOf(b.id) || Buffer.compare(Buffer.from(a.id), Buffer.from(b.id));
    };
    assert.deepEqual(scrolled, [...present].sort(order), 'scroll gives what get gives');
    const count = (request: { filter?: Filter }): Promise<number> => this.#drive(points.count(this.#context(), name, { consistency: linearizable, ...request }));
    assert.equal(await count({}), present.length, 'count');
    assert.equal(await count({ filter }), matching.length, `count with ${JSON.stringify(filter)}`);
    const vector = this.#newVector(collection.input.dimension);
    for (const [wanted, extra] of [[present, {}], [matching, { filter }]] as const) {
      const exact = this.#chance(0.5);
      const topK = Math.max(1, wanted.length + this.#below(3));
      const { hits } = await this.#drive(search.search(this.#context(), name, { vector, topK, exact, ...allParts, ...extra }));
      const expected = wanted.map((point) => ({ ...point, score: scoreOf(collection.input.metric, vector, point.vector!) })).sort((a, b) => b.score - a.score);
      assert.equal(hits.length, expected.length, `search finds ${hits.map(({ id }) => id).join()} instead of ${expected.map(({ id }) => id).join()}`);
      hits.forEach((hit, i) => {
        const { score, ...point } = expected.find(({ id }) => id === hit.id) ?? assert.fail(`search found "${hit.id}", which get does not`);
        const { score: hitScore, ...found } = hit;
        assert(isDeepStrictEqual(found, point), `search gives ${JSON.stringify(found)} for ${JSON.stringify(point)}`);
        assert(isClose(hitScore, score) && isClose(hitScore, expected[i]!.score), `"${hit.id}" has score ${hitScore} at place ${i}; it should be ${score}, and the place ${expected[i]!.score}`);
      });
    }
  }

  /** D1: the same request number again settles what happened, and it happens once. */
  async #retryUnknown(): Promise<void> {
    const operations = this.#unknown;
    const decisions = this.#decisions;
    this.#unknown = [];
    this.#decisions = new Map();
    for (const operation of operations) {
      if (operation.idempotency === undefined || this.#chance(0.4) || ![...this.#collections.values()].includes(operation.collection)) continue;
      const { collection } = operation;
      const lastSeqs = collection.shardUIDs.map((uid) => this.#process.pod.find(uid)!.replica.statistics().lastSeq);
      const answer = await this.#drive(operation.call(this.#context(operation.idempotency)));
      this.#count('retried after an unknown outcome');
      this.#tell(`${operation.name} retried: ${JSON.stringify(answer.items.map(({ outcome, version }) => `${outcome} ${version}`))} ${answer.tokens.map((token) => token.seq).join()}`);
      for (const part of operation.parts) {
        const decision = decisions.get(part);
        const { seq } = answer.tokens.find((token) => token.shardUID === collection.shardUIDs[part.shard])!;
        const isOld = seq <= lastSeqs[part.shard]!;
        assert(isOld ? decision?.applied !== false : decision?.skipped !== false, `${operation.name} retried says seq ${seq}, but ${JSON.stringify(decision)}`);
        if (decision?.seq !== undefined) assert.equal(seq, decision.seq, `${operation.name} retried is answered with another seq`);
        if (isOld) continue;
        for (const item of part.items) {
          const point = collection.points.get(item.id)!;
          const { outcome, after } = evaluate(item, point.state, seq);
          const version = typeof after?.version === 'number' ? after.version : 0;
          assert.deepEqual(answer.items.find(({ id }) => id === item.id), { id: item.id, outcome, version }, `${operation.name} retried on ${show(point.state)}`);
          point.state = after;
        }
      }
      operation.answer = answer;
      this.#answered.push(operation);
    }
    await this.#verify();
    this.#decisions = new Map();
  }

  // ------------------------------------------------------------ the event loop

  #context(idempotency?: Idempotency, signal: AbortSignal = new AbortController().signal): RequestContext {
    const identity = { subject: 'simulation', actions: ['read', 'write', 'admin'], collections: 'all' } as const;
    return { requestId: 'simulated', identity, signal, span: noSpan, ...(idempotency === undefined ? {} : { idempotency }) };
  }

  /** Remembers a failed check of work that nobody awaits. */
  #track(work: Promise<void>): void {
    const tracked: Promise<void> = work
      .catch((error: unknown) => void (this.#failure ??= error as Error))
      .finally(() => this.#inFlight.delete(tracked));
    this.#inFlight.add(tracked);
  }

  /** Lets errors pass that a broken disk explains. */
  #guard(what: string, work: Promise<unknown>): Promise<void> {
    const process = this.#process;
    const guarded = work.then(
      () => undefined,
      (error: unknown) => void (process === this.#process && this.#expectedCode(what, error)),
    );
    this.#track(guarded);
    return guarded;
  }

  #expectedCode(what: string, error: unknown): ErrorCode | undefined {
    const code = error instanceof ShoalError ? error.code : undefined;
    if (code !== undefined && (refusals.includes(code) || doubts.includes(code))) return code;
    // What a checkpoint meets on a broken disk stays within the shard.
    if (what === 'checkpoint' && error instanceof Error && 'code' in error) return undefined;
    this.#failure ??= new Error(`${what} failed: ${String(error)}`, { cause: error });
    return undefined;
  }

  /** Lets the world go on until the work has settled, or is given up: then it answers nothing. */
  async #drive<T>(work: Promise<T>): Promise<T>;
  async #drive<T>(work: Promise<T>, isGivenUp: () => boolean): Promise<T | undefined>;
  async #drive<T>(work: Promise<T>, isGivenUp = (): boolean => false): Promise<T | undefined> {
    let isSettled = false;
    const settled = (): void => void (isSettled = true);
    work.then(settled, settled);
    for (let turn = 0; !isSettled; turn++) {
      if (isGivenUp()) return undefined;
      assert(turn < turnCountMax, 'a request never ends');
      await this.#turns(1);
      this.#machine.clock.advance(this.#below(40));
    }
    return work;
  }

  async #turns(count: number): Promise<void> {
    for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
  }

  #pickCollection(): [string, CollectionModel] | undefined {
    const all = [...this.#collections];
    return all.length === 0 ? undefined : this.#pick(all);
  }

  #pick<T>(choices: readonly T[]): T {
    return choices[this.#below(choices.length)]!;
  }

  #shuffled<T>(values: readonly T[]): T[] {
    return values.map((value) => [this.#random.fraction(), value] as const).sort(([a], [b]) => a - b).map(([, value]) => value);
  }

  #below(bound: number): number {
    return below(this.#random, bound);
  }

  #chance(probability: number): boolean {
    return this.#random.fraction() < probability;
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  #tell(line: string): void {
    this.story.push(line);
  }
}

function sorted({ items, tokens }: WriteAnswer): WriteAnswer {
  return { items, tokens: [...tokens].sort((a, b) => (a.shardUID < b.shardUID ? -1 : 1)) };
}

function scoreOf(metric: 'cosine' | 'euclidean' | 'dot', a: Float32Array, b: Float32Array): number {
  let dot = 0;
  let squaresA = 0;
  let squaresB = 0;
  let distance = 0;
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    squaresA += a[i]! ** 2;
    squaresB += b[i]! ** 2;
    distance += (a[i]! - b[i]!) ** 2;
  }
  if (metric === 'euclidean') return scoreFromDistance(metric, distance);
  return metric === 'dot' ? dot : dot / Math.sqrt(squaresA * squaresB);
}

function isClose(a: number, b: number): boolean {
  return Math.abs(a - b) <= 1e-4 * Math.max(1, Math.abs(a), Math.abs(b));
}
