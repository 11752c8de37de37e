/**
 * Histories of one id by seed, made by clients of a pretended store: each operation happens at an instant between its
 * invocation and its response, so the history is linearizable by construction; or with one of the faults that a
 * replicated store may have.
 */

import type { Condition, Operation, Request, Seen, WriteAnswer, WriteCall } from './history.ts';
import { below, type Random } from '../../pods/kernel/random.ts';

export const faults = ['lost write', 'stale read', 'resurrected delete', 'write applied twice', 'condition ignored'] as const;
export type Fault = (typeof faults)[number];

interface Planned {
  readonly request: Request;
  readonly invokedAt: number;
  /** When it happens; undefined: never. */
  readonly happensAt: number | undefined;
  /** Undefined: the answer is lost. */
  readonly respondedAt: number | undefined;
  answer?: WriteAnswer | { seen: Seen | undefined };
}

const operationCount = 40;
const unknownCountMax = 4;

/** The operations, and whether the fault found an occasion. */
export function randomHistory(random: Random, id: string, fault?: Fault): { readonly operations: Operation[]; readonly faulty: boolean } {
  const plan = planned(random, id);
  const store = new PretendedStore(random, fault);
  for (const operation of plan.filter(({ happensAt }) => happensAt !== undefined).sort((a, b) => a.happensAt! - b.happensAt!)) store.take(operation);
  return { operations: plan.map(operationOf), faulty: store.faulty };
}

function planned(random: Random, id: string): Planned[] {
  const clientCount = 2 + below(random, 4);
  const freeAt = Array.from({ length: clientCount }, () => below(random, 20));
  let unknownLeft = below(random, unknownCountMax + 1);
  return Array.from({ length: operationCount }, (_, i) => {
    const client = below(random, clientCount);
    const invokedAt = freeAt[client]! + below(random, 10);
    const happensAt = invokedAt + below(random, 20);
    const respondedAt = happensAt + below(random, 20);
    freeAt[client] = respondedAt + 1;
    const request: Request = { id, clientId: `c${client}`, requestNumber: i + 1, call: randomCall(random, i + 1) };
    if (request.call.kind !== 'get' && unknownLeft > 0 && below(random, 8) === 0) {
      unknownLeft--;
      const late = below(random, 3) === 0 ? below(random, 300) : 0;
      return { request, invokedAt, happensAt: below(random, 3) === 0 ? undefined : happensAt + late, respondedAt: undefined };
    }
    return { request, invokedAt, happensAt, respondedAt };
  });
}

function randomCall(random: Random, content: number): Request['call'] {
  // A version of 0 stands for one that the store chooses when the request gets there.
  const conditions: (Condition | undefined)[] = [undefined, undefined, undefined, { kind: 'absent' }, { kind: 'present' }, { kind: 'version', version: 0 }, { kind: 'version', version: 0 }];
  const condition = conditions[below(random, conditions.length)];
  const when = condition === undefined ? {} : { condition };
  const dice = below(random, 20);
  if (dice < 9) return { kind: 'get', consistency: { level: 'linearizable' } };
  if (dice < 15) return { kind: 'upsert', content: { vector: content, payload: content }, ...when };
  if (dice < 17) return { kind: 'set-payload', payload: content, ...when };
  return { kind: 'delete', ...when };
}

/** A register that counts seqs as a shard's log does, and errs once if it is told to. */
class PretendedStore {
  faulty = false;
  readonly #random: Random;
  readonly #fault: Fault | undefined;
  #seq = 0;
  #point: Seen | undefined;
  /** What the point was after each effect. */
  readonly #past: (Seen | undefined)[] = [undefined];
  /** An acknowledged write that will be applied again, and after how many operations. */
  #again: { readonly call: WriteCall; afterCount: number } | undefined;

  constructor(random: Random, fault: Fault | undefined) {
    this.#random = random;
    this.#fault = fault;
  }

  take(operation: Planned): void {
    this.#seq += 1 + below(this.#random, 3);
    this.#applyAgain();
    const { call } = operation.request;
    if (call.kind === 'get') operation.answer = { seen: this.#read() };
    else operation.answer = this.#write(operation, call);
  }

  #read(): Seen | undefined {
    const older = this.#past.slice(-6, -3);
    if (older.length === 3 && this.#errs('stale read')) return older[below(this.#random, 3)];
    const deleted = this.#point === undefined ? this.#past.findLast((state) => state !== undefined) : undefined;
    if (deleted !== undefined && this.#errs('resurrected delete')) this.#become(deleted);
    return this.#point;
  }

  #write(operation: Planned, call: WriteCall): WriteAnswer {
    const { condition } = call;
    // Mostly the present version, sometimes an earlier one.
    if (condition?.kind === 'version') {
      const state = below(this.#random, 3) > 0 ? this.#point : this.#past[below(this.#random, this.#past.length)];
      (condition as { version: number }).version = state?.version ?? 0;
    }
    const holds = condition === undefined || (condition.kind === 'version' ? (this.#point?.version ?? 0) === condition.version : (condition.kind === 'present') === (this.#point !== undefined));
    const acknowledged = operation.respondedAt !== undefined;
    if (!holds && !(acknowledged && this.#errs('condition ignored'))) return this.#answer('condition-failed', this.#point?.version ?? 0);
    const before = this.#point;
    if (before === undefined && call.kind !== 'upsert') return this.#answer('not-found', 0);
    const after = this.#after(call);
    if (acknowledged && this.#errs('lost write')) this.#past.push(before);
    else this.#become(after);
    if (acknowledged && this.#again === undefined && this.#errs('write applied twice')) this.#again = { call, afterCount: 1 + below(this.#random, 6) };
    if (call.kind === 'delete') return this.#answer('deleted', 0);
    return this.#answer(before === undefined ? 'created' : 'updated', this.#seq);
  }

  #after(call: WriteCall): Seen | undefined {
    if (call.kind === 'upsert') return { ...call.content, version: this.#seq };
    return call.kind === 'delete' ? undefined : { vector: this.#point?.vector ?? 0, payload: call.payload, version: this.#seq };
  }

  #applyAgain(): void {
    if (this.#again === undefined || --this.#again.afterCount > 0) return;
    this.#become(this.#after(this.#again.call));
    this.#again = undefined;
    this.#seq++;
  }

  #become(point: Seen | undefined): void {
    this.#point = point;
    this.#past.push(point);
  }

  #answer(outcome: WriteAnswer['outcome'], version: number): WriteAnswer {
    return { outcome, version, tokens: [{ shardUID: 'shard', seq: this.#seq }] };
  }

  /** Once in a history, at any of the first occasions, so that there is time to see what comes of it. */
  #errs(fault: Fault): boolean {
    if (this.#fault !== fault || this.faulty || below(this.#random, 3) > 0) return false;
    return (this.faulty = true);
  }
}

function operationOf({ request, invokedAt, respondedAt, answer }: Planned): Operation {
  const fields = { number: request.requestNumber, id: request.id, clientId: request.clientId, requestNumber: request.requestNumber, attemptCount: 1, invokedAt, invokedMs: invokedAt, respondedMs: respondedAt };
  if (respondedAt === undefined) return { ...fields, outcome: 'unknown', call: request.call, respondedAt: Infinity };
  return { ...fields, outcome: 'ok', call: request.call, answer, respondedAt } as Operation;
}
