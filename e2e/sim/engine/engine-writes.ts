/** Writes of several clients at once: what was answered, what may have happened, and what a retry tells. */

import assert from 'node:assert/strict';
import type { RequestContext } from '../../../pods/api/context.ts';
import type { WriteAnswer } from '../../../pods/api/vector-api.ts';
import type { Idempotency } from '../../../pods/domain/write.ts';
import { ShoalError } from '../../../pods/kernel/errors.ts';
import { ids, type CollectionModel } from './collection-model.ts';
import { newFilter, newItem } from './engine-choices.ts';
import { quiesce } from './engine-faults.ts';
import type { EngineVerification } from './engine-verification.ts';
import { refusals, type EngineWorld } from './engine-world.ts';
import { evaluate, filterAccepts, show, type Item, type ShardPart } from './point-model.ts';

const clientCount = 3;

interface Operation {
  readonly name: string;
  readonly collection: CollectionModel;
  readonly items: readonly Item[];
  readonly parts: readonly ShardPart[];
  readonly idempotency: Idempotency | undefined;
  readonly call: (context: RequestContext) => Promise<WriteAnswer>;
  answer: WriteAnswer | undefined;
}

export class EngineWrites {
  readonly #world: EngineWorld;
  readonly #verification: EngineVerification;
  readonly #requestNumbers = new Array<number>(clientCount).fill(0);
  readonly #open = new Set<Operation>();
  #unknown: Operation[] = [];
  #answered: Operation[] = [];
  #operationCount = 0;
  #acknowledgedCount = 0;

  constructor(world: EngineWorld, verification: EngineVerification) {
    this.#world = world;
    this.#verification = verification;
  }

  /** The process is gone: nobody answers what is open. */
  lost(): void {
    this.#unknown.push(...this.#open);
    this.#open.clear();
  }

  write(): void {
    const [name, collection] = this.#world.pickCollection() ?? [];
    if (name === undefined || collection === undefined || collection.inDoubt) return;
    const free = ids.filter((id) => collection.points.get(id)!.openCount < 2);
    const chosen = this.#world.shuffled(free).slice(0, 1 + this.#world.below(6));
    if (chosen.length === 0) return;
    const number = ++this.#operationCount;
    const kind = this.#world.pick(['upsert', 'upsert', 'upsert', 'delete', 'change'] as const);
    const items = chosen.map((id): Item => newItem(this.#world, kind, id, number, collection));
    const client = this.#world.below(clientCount);
    const idempotency = this.#world.chance(0.8) ? { clientId: `client-${client}`, requestNumber: ++this.#requestNumbers[client]! } : undefined;
    const call = (context: RequestContext): Promise<WriteAnswer> => {
      const api = this.#world.process.api.points;
      if (kind === 'upsert') return api.upsert(context, name, items.map((item) => ({ ...(item as Extract<Item, { kind: 'upsert' }>) })));
      if (kind === 'delete') return api.delete(context, name, items);
      return api.changePayload(context, name, items);
    };
    const operation: Operation = { name: `#${number} ${kind}`, collection, items, parts: this.#partsOf(collection, `#${number}`, items), idempotency, call, answer: undefined };
    this.#world.tell(`${operation.name} ${name} ${JSON.stringify(items.map((item) => ({ ...item, ...('vector' in item ? { vector: [...item.vector] } : {}) })))} ${idempotency === undefined ? '' : `${idempotency.clientId}/${idempotency.requestNumber}`}`);
    this.#world.count(kind);
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

  #launch(operation: Operation): void {
    for (const part of operation.parts) for (const item of part.items) operation.collection.points.get(item.id)!.begin(part, item);
    this.#open.add(operation);
    const abort = new AbortController();
    if (this.#world.chance(0.06)) void this.#world.turns(this.#world.below(15)).then(() => (this.#world.count('abort'), abort.abort(new ShoalError('CANCELLED', 'the client went away'))));
    const send = (): Promise<WriteAnswer> => operation.call(this.#world.context(operation.idempotency, abort.signal));
    const twin = operation.idempotency !== undefined && this.#world.chance(0.1) ? send() : undefined;
    const first = send();
    const process = this.#world.process;
    const outcome = twin === undefined ? first : Promise.allSettled([first, twin]).then(([a, b]) => this.#agreed(operation, a, b));
    this.#world.track(
      outcome.then(
        (answer) => {
          if (process === this.#world.process && this.#open.delete(operation)) this.#acknowledge(operation, answer);
        },
        (error: unknown) => {
          if (process === this.#world.process && this.#open.delete(operation)) this.#rejected(operation, error);
        },
      ),
    );
  }

  /** A request sent twice at once has one outcome, however it is told. */
  #agreed(operation: Operation, a: PromiseSettledResult<WriteAnswer>, b: PromiseSettledResult<WriteAnswer>): WriteAnswer {
    this.#world.count('sent twice at once');
    if (a.status === 'fulfilled' && b.status === 'fulfilled') assert.deepEqual(sorted(a.value), sorted(b.value), `${operation.name} was answered in two ways`);
    if (a.status === 'fulfilled') return a.value;
    if (b.status === 'fulfilled') return b.value;
    const codes = [a, b].map(({ reason }) => (reason as ShoalError).code);
    throw codes.every((code) => refusals.includes(code)) ? a.reason : new ShoalError('OUTCOME_UNKNOWN', `rejected with ${codes.join(' and ')}`);
  }

  #acknowledge(operation: Operation, answer: WriteAnswer): void {
    const { collection } = operation;
    operation.answer = answer;
    this.#world.count('acknowledged');
    this.#world.tell(`${operation.name} acknowledged ${JSON.stringify(answer.items.map(({ outcome, version }) => `${outcome} ${version}`))} ${answer.tokens.map((token) => token.seq).join()}`);
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
    const code = this.#world.expectedCode(operation.name, error);
    if (code === undefined) return;
    const isRefused = operation.parts.length === 1 && refusals.includes(code);
    this.#world.count(isRefused ? 'refused' : 'outcome unknown');
    this.#world.tell(`${operation.name} ${isRefused ? 'refused' : 'unknown'}: ${(error as Error).message}`);
    if (!isRefused) return void this.#unknown.push(operation);
    for (const part of operation.parts) for (const item of part.items) operation.collection.points.get(item.id)!.forget(part);
  }

  /** D1: what was answered once is answered again, and nothing happens. */
  repeatAnswered(): void {
    const operation = this.#answered[this.#world.below(this.#answered.length)];
    if (operation === undefined || ![...this.#world.collections.values()].includes(operation.collection)) return;
    this.#world.count('repeated');
    this.#world.tell(`${operation.name} repeated`);
    const process = this.#world.process;
    this.#world.track(
      operation.call(this.#world.context(operation.idempotency)).then(
        (answer) => assert.deepEqual(sorted(answer), sorted(operation.answer!), `${operation.name} repeated is answered otherwise`),
        (error: unknown) => void (process === this.#world.process && this.#world.expectedCode(operation.name, error)),
      ),
    );
  }

  async deleteByFilter(): Promise<void> {
    const [name, collection] = this.#world.pickCollection() ?? [];
    if (name === undefined || collection === undefined || !(await quiesce(this.#world)) || !(await this.#verification.verify())) return;
    const filter = newFilter(this.#world);
    const label = `#${++this.#operationCount} delete by filter`;
    this.#world.tell(`${label} ${name} ${JSON.stringify(filter)}`);
    const items = ids.map((id): Item => ({ kind: 'delete', id, condition: { kind: 'matches', filter } }));
    const parts = this.#partsOf(collection, label, items);
    for (const part of parts) for (const item of part.items) collection.points.get(item.id)!.begin(part, item);
    const states = [...collection.points.values()].map((point) => point.state);
    await this.#world.exclusive('delete by filter', async () => {
      const { deletedCount } = await this.#world.process.api.points.deleteByFilter(this.#world.context(), name, filter);
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

  /** D1: the same request number again settles what happened, and it happens once. */
  async retryUnknown(): Promise<void> {
    const operations = this.#unknown;
    const decisions = this.#verification.takeDecisions();
    this.#unknown = [];
    for (const operation of operations) {
      if (operation.idempotency === undefined || this.#world.chance(0.4) || ![...this.#world.collections.values()].includes(operation.collection)) continue;
      const { collection } = operation;
      const lastSeqs = collection.shardUIDs.map((uid) => this.#world.process.pod.find(uid)!.replica.statistics().lastSeq);
      const answer = await this.#world.drive(operation.call(this.#world.context(operation.idempotency)));
      this.#world.count('retried after an unknown outcome');
      this.#world.tell(`${operation.name} retried: ${JSON.stringify(answer.items.map(({ outcome, version }) => `${outcome} ${version}`))} ${answer.tokens.map((token) => token.seq).join()}`);
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
    await this.#verification.verify();
    this.#verification.takeDecisions();
  }
}

function sorted({ items, tokens }: WriteAnswer): WriteAnswer {
  return { items, tokens: [...tokens].sort((a, b) => (a.shardUID < b.shardUID ? -1 : 1)) };
}
