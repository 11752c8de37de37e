/**
 * Rule D1: which requests of which clients have been applied, and with what results. Part of the replicated state: every
 * replica changes its table by the entries alone, in their order, so all tables are equal, and a snapshot carries it.
 *
 * Bounded twice. Per client the newest `rememberedRequestsPerClientMax` request numbers are kept; the greatest number
 * forgotten is the client's floor, and a request at or below it is refused. Over all clients the least recently applied
 * is forgotten with its floor; a client so quiet that thousands of others wrote since must not retry a request that old.
 */

import { limits } from '../kernel/limits.ts';
import { ShoalError } from '../kernel/errors.ts';
import type { Idempotency, OperationResult } from '../domain/write.ts';

import { ByteReader, ByteWriter, decodeResults, encodeResults } from './entry-codec.ts';

interface RememberedRequest {
  readonly seq: number;
  readonly results: readonly OperationResult[];
}

interface Client {
  floor: number;
  lastSeq: number;
  /** By request number, in the order they were applied. */
  readonly requests: Map<number, RememberedRequest>;
}

/** What to change in the store after `remember`. */
export interface ClientChange {
  readonly clientId: string;
  /** Undefined: forget the client. */
  readonly encoded: Uint8Array | undefined;
}

export class IdempotencyTable {
  /** In the order of their last applied request, the quietest first. */
  readonly #clients = new Map<string, Client>();

  /** What the request was answered, undefined when it is new; REQUEST_TOO_OLD at or below the client's floor. */
  find(idempotency: Idempotency): RememberedRequest | undefined {
    const client = this.#clients.get(idempotency.clientId);
    if (client === undefined) return undefined;
    const remembered = client.requests.get(idempotency.requestNumber);
    if (remembered !== undefined) return remembered;
    if (idempotency.requestNumber <= client.floor) {
      throw new ShoalError(
        'REQUEST_TOO_OLD',
        `request number ${idempotency.requestNumber} of client "${idempotency.clientId}" is not above ${client.floor}, the last one forgotten`,
        { details: { requestNumber: idempotency.requestNumber, floor: client.floor } },
      );
    }
    return undefined;
  }

  /** The entry at `seq` is applied. Returns what to store; the clients beyond the bound come as forgotten. */
  remember(idempotency: Idempotency, seq: number, results: readonly OperationResult[]): ClientChange[] {
    const { clientId, requestNumber } = idempotency;
    const client = this.#clients.get(clientId) ?? { floor: 0, lastSeq: 0, requests: new Map<number, RememberedRequest>() };
    this.#clients.delete(clientId);
    this.#clients.set(clientId, client);
    client.lastSeq = seq;
    client.requests.set(requestNumber, { seq, results });
    while (client.requests.size > limits.rememberedRequestsPerClientMax) {
      const lowest = Math.min(...client.requests.keys());
      client.requests.delete(lowest);
      client.floor = Math.max(client.floor, lowest);
    }
    const changes: ClientChange[] = [{ clientId, encoded: encodeClient(client) }];
    if (this.#clients.size > limits.rememberedClientsMax) {
      const quietest = this.#clients.keys().next().value!;
      this.#clients.delete(quietest);
      changes.push({ clientId: quietest, encoded: undefined });
    }
    return changes;
  }

  /** The table as the store has it, in any order. */
  load(stored: Iterable<{ readonly clientId: string; readonly encoded: Uint8Array }>): void {
    const clients = Array.from(stored, ({ clientId, encoded }) => ({ clientId, client: decodeClient(encoded) }));
    clients.sort((a, b) => a.client.lastSeq - b.client.lastSeq);
    for (const { clientId, client } of clients) this.#clients.set(clientId, client);
  }

  get clientCount(): number {
    return this.#clients.size;
  }
}

/** f64 floor | f64 last seq | u32 count | per request: f64 number | f64 seq | u32 length, results */
function encodeClient(client: Client): Uint8Array {
  const requests = Array.from(client.requests, ([number, request]) => ({ number, seq: request.seq, results: encodeResults(request.results) }));
  const writer = new ByteWriter(20 + requests.reduce((size, request) => size + 20 + request.results.length, 0));
  writer.f64(client.floor);
  writer.f64(client.lastSeq);
  writer.u32(requests.length);
  for (const request of requests) {
    writer.f64(request.number);
    writer.f64(request.seq);
    writer.bytes(request.results);
  }
  return writer.finish();
}

function decodeClient(encoded: Uint8Array): Client {
  const reader = new ByteReader(encoded);
  const client: Client = { floor: reader.f64(), lastSeq: reader.f64(), requests: new Map() };
  for (let count = reader.count(); count > 0; count--) {
    const number = reader.f64();
    const seq = reader.f64();
    client.requests.set(number, { seq, results: decodeResults(reader.bytes()) });
  }
  reader.expectEnd();
  return client;
}
