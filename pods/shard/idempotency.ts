/**
 * Rule D1: which requests of which clients have been applied, and with what results. Part of the replicated state: every
 * replica changes its table by the entries alone, in their order, so all tables are equal, and a snapshot carries it.
 *
 * Bounded twice. Per client the newest `rememberedRequestsPerClientMax` request numbers are kept; the greatest number
 * forgotten is the client's floor, and a request at or below it is refused. Over all clients the least recently applied
 * is forgotten with its floor; a client so quiet that thousands of others wrote since must not retry a request that old.
 *
 * In the store, in the key space `session`, so that a request writes its own results only:
 *
 *     client id, 0x00                  → f64 floor | f64 seq of the last request
 *     client id, 0x00, f64 BE number   → f64 seq | results (see entry-codec.ts)
 */

import assert from 'node:assert/strict';
import { limits } from '../kernel/limits.ts';
import { ShoalError } from '../kernel/errors.ts';
import type { Idempotency, OperationResult } from '../domain/write.ts';
import { ByteReader, ByteWriter, decodeResults, encodeResults } from './entry-codec.ts';

export interface RememberedAnswer {
  readonly seq: number;
  readonly results: readonly OperationResult[];
}

/** A change of the store that goes with `remember`: suffix of the key within `session`, and the value; undefined deletes. */
export interface SessionChange {
  readonly suffix: Uint8Array;
  readonly value: Uint8Array | undefined;
}

interface Client {
  floor: number;
  lastSeq: number;
  /** Encoded by request number: a table of thousands of requests is not a million objects. */
  readonly requests: Map<number, Uint8Array>;
}

export class IdempotencyTable {
  /** In the order of their last applied request, the quietest first. */
  readonly #clients = new Map<string, Client>();

  /** What the request was answered, undefined when it is new; REQUEST_TOO_OLD at or below the client's floor. */
  find({ clientId, requestNumber }: Idempotency): RememberedAnswer | undefined {
    const client = this.#clients.get(clientId);
    if (client === undefined) return undefined;
    const remembered = client.requests.get(requestNumber);
    if (remembered !== undefined) return decodeAnswer(remembered);
    if (requestNumber > client.floor) return undefined;
    throw new ShoalError('REQUEST_TOO_OLD', `request number ${requestNumber} of client "${clientId}" is not above ${client.floor}, the last one forgotten`, {
      details: { requestNumber, floor: client.floor },
    });
  }

  /** The entry at `seq` is applied. Returns what to store in the same batch. */
  remember({ clientId, requestNumber }: Idempotency, seq: number, results: readonly OperationResult[]): SessionChange[] {
    const client = this.#clients.get(clientId) ?? { floor: 0, lastSeq: 0, requests: new Map<number, Uint8Array>() };
    this.#clients.delete(clientId);
    this.#clients.set(clientId, client);
    client.lastSeq = seq;
    const answer = encodeAnswer(seq, results);
    client.requests.set(requestNumber, answer);
    const changes: SessionChange[] = [{ suffix: requestKey(clientId, requestNumber), value: answer }];
    while (client.requests.size > limits.rememberedRequestsPerClientMax) {
      const lowest = Math.min(...client.requests.keys());
      client.requests.delete(lowest);
      client.floor = Math.max(client.floor, lowest);
      changes.push({ suffix: requestKey(clientId, lowest), value: undefined });
    }
    changes.push({ suffix: clientKey(clientId), value: encodeClient(client) });
    if (this.#clients.size > limits.rememberedClientsMax) changes.push(...this.#forgetQuietest());
    return changes;
  }

  /** Takes over the table as the store has it: suffixes and values in any order. */
  load(stored: Iterable<{ readonly suffix: Uint8Array; readonly value: Uint8Array }>): void {
    const clients = new Map<string, Client>();
    const clientOf = (clientId: string): Client => {
      let client = clients.get(clientId);
      if (client === undefined) clients.set(clientId, (client = { floor: 0, lastSeq: 0, requests: new Map() }));
      return client;
    };
    for (const { suffix, value } of stored) {
      const end = suffix.indexOf(0);
      const client = clientOf(Buffer.from(suffix.subarray(0, end)).toString('utf8'));
      if (suffix.length === end + 1) Object.assign(client, decodeClient(value));
      else client.requests.set(Buffer.from(suffix).readDoubleBE(end + 1), value);
    }
    for (const [clientId, client] of [...clients].sort(([, a], [, b]) => a.lastSeq - b.lastSeq)) this.#clients.set(clientId, client);
  }

  get clientCount(): number {
    return this.#clients.size;
  }

  #forgetQuietest(): SessionChange[] {
    const [clientId, client] = this.#clients.entries().next().value!;
    this.#clients.delete(clientId);
    const suffixes = [clientKey(clientId), ...Array.from(client.requests.keys(), (number) => requestKey(clientId, number))];
    return suffixes.map((suffix) => ({ suffix, value: undefined }));
  }
}

function clientKey(clientId: string): Uint8Array {
  assert(!clientId.includes('\0'), 'a client id has no U+0000');
  return Buffer.from(`${clientId}\0`);
}

function requestKey(clientId: string, requestNumber: number): Uint8Array {
  const number = Buffer.alloc(8);
  number.writeDoubleBE(requestNumber);
  return Buffer.concat([clientKey(clientId), number]);
}

function encodeClient(client: Client): Uint8Array {
  const writer = new ByteWriter(16);
  writer.f64(client.floor);
  writer.f64(client.lastSeq);
  return writer.finish();
}

function decodeClient(value: Uint8Array): Pick<Client, 'floor' | 'lastSeq'> {
  const reader = new ByteReader(value);
  const client = { floor: reader.f64(), lastSeq: reader.f64() };
  reader.expectEnd();
  return client;
}

function encodeAnswer(seq: number, results: readonly OperationResult[]): Uint8Array {
  const encoded = encodeResults(results);
  const writer = new ByteWriter(8 + encoded.length);
  writer.f64(seq);
  writer.raw(encoded);
  return writer.finish();
}

function decodeAnswer(answer: Uint8Array): RememberedAnswer {
  return { seq: new ByteReader(answer).f64(), results: decodeResults(answer.subarray(8)) };
}
