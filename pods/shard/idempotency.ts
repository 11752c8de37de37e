/**
 * Rule D1: which requests of which clients have been applied, and with what results. Part of the replicated state: every
 * replica changes its table by the entries alone, in their order, so all tables are equal, and a snapshot carries it.
 *
 * Bounded per client, in requests and in bytes of results: the lowest request numbers go first, the greatest one
 * forgotten is the client's floor, and a request at or below it is refused. Bounded over all clients likewise: the one
 * that was applied least recently is forgotten with its floor; a client so quiet that thousands of others wrote since
 * must not retry a request that old.
 *
 * In the store, in the space `session` (numbers big-endian, so that they order):
 *
 *     u8 length, client id                          → f64 floor | f64 last seq
 *     u8 length, client id, f64 request number      → f64 seq | results (entry-codec.ts)
 */

import { limits } from '../kernel/limits.ts';
import { ShoalError } from '../kernel/errors.ts';
import type { Idempotency, OperationResult } from '../domain/write.ts';
import { ByteReader, ByteWriter, decodeResults, encodeResults } from './entry-codec.ts';

export interface RememberedRequest {
  readonly seq: number;
  readonly results: readonly OperationResult[];
}

export type RequestHistory =
  | { readonly kind: 'new' }
  | { readonly kind: 'applied'; readonly request: RememberedRequest }
  /** It cannot be told from a repeat, and must not be applied. */
  | { readonly kind: 'too-old'; readonly error: ShoalError };

/** What to change in the store after `remember`: the end of a key in the space `session`. */
export interface SessionChange {
  readonly suffix: Uint8Array;
  /** Undefined: delete the key. */
  readonly value: Uint8Array | undefined;
}

interface StoredRequest {
  readonly seq: number;
  readonly encodedResults: Uint8Array;
}

interface Client {
  floor: number;
  lastSeq: number;
  sizeBytes: number;
  readonly requests: Map<number, StoredRequest>;
}

export class IdempotencyTable {
  /** In the order of their last applied request, the quietest first. */
  readonly #clients = new Map<string, Client>();
  #sizeBytes = 0;

  lookUp({ clientId, requestNumber }: Idempotency): RequestHistory {
    const client = this.#clients.get(clientId);
    const stored = client?.requests.get(requestNumber);
    if (stored !== undefined) return { kind: 'applied', request: { seq: stored.seq, results: decodeResults(stored.encodedResults) } };
    if (client === undefined || requestNumber > client.floor) return { kind: 'new' };
    const message = `request number ${requestNumber} of client "${clientId}" is not above ${client.floor}, the last one forgotten`;
    return { kind: 'too-old', error: new ShoalError('REQUEST_TOO_OLD', message, { details: { requestNumber, floor: client.floor } }) };
  }

  /** What the request was answered, undefined when it is new; REQUEST_TOO_OLD at or below the client's floor. */
  find(idempotency: Idempotency): RememberedRequest | undefined {
    const history = this.lookUp(idempotency);
    if (history.kind === 'too-old') throw history.error;
    return history.kind === 'applied' ? history.request : undefined;
  }

  /** The entry at `seq` is applied. Returns what to store, forgotten requests and clients included. */
  remember({ clientId, requestNumber }: Idempotency, seq: number, results: readonly OperationResult[]): SessionChange[] {
    const client = this.#clients.get(clientId) ?? { floor: 0, lastSeq: 0, sizeBytes: 0, requests: new Map<number, StoredRequest>() };
    this.#clients.delete(clientId);
    this.#clients.set(clientId, client);
    client.lastSeq = seq;
    const request: StoredRequest = { seq, encodedResults: encodeResults(results) };
    this.#add(client, requestNumber, request);
    const changes: SessionChange[] = [{ suffix: requestSuffix(clientId, requestNumber), value: encodeRequest(request) }];
    while (client.requests.size > limits.rememberedRequestsPerClientMax || client.sizeBytes > limits.rememberedBytesPerClientMax) {
      const lowest = Math.min(...client.requests.keys());
      this.#drop(client, lowest);
      client.floor = Math.max(client.floor, lowest);
      changes.push({ suffix: requestSuffix(clientId, lowest), value: undefined });
    }
    changes.push({ suffix: clientSuffix(clientId), value: encodeClient(client) });
    while (this.#clients.size > limits.rememberedClientsMax || (this.#sizeBytes > limits.rememberedBytesMax && this.#clients.size > 1)) {
      const quietest = this.#clients.keys().next().value!;
      changes.push(...this.#forget(quietest));
    }
    return changes;
  }

  /** The table as the store has it, in any order. */
  load(stored: Iterable<{ readonly suffix: Uint8Array; readonly value: Uint8Array }>): void {
    const clients = new Map<string, Client>();
    const clientOf = (clientId: string): Client => {
      const client = clients.get(clientId) ?? { floor: 0, lastSeq: 0, sizeBytes: 0, requests: new Map<number, StoredRequest>() };
      clients.set(clientId, client);
      return client;
    };
    for (const { suffix, value } of stored) {
      const { clientId, requestNumber } = decodeSuffix(suffix);
      const client = clientOf(clientId);
      if (requestNumber === undefined) Object.assign(client, decodeClient(value));
      else this.#add(client, requestNumber, decodeRequest(value));
    }
    const inOrder = [...clients].sort(([, a], [, b]) => a.lastSeq - b.lastSeq);
    for (const [clientId, client] of inOrder) this.#clients.set(clientId, client);
  }

  get clientCount(): number {
    return this.#clients.size;
  }

  #add(client: Client, requestNumber: number, request: StoredRequest): void {
    client.requests.set(requestNumber, request);
    client.sizeBytes += request.encodedResults.length;
    this.#sizeBytes += request.encodedResults.length;
  }

  #drop(client: Client, requestNumber: number): void {
    const { length } = client.requests.get(requestNumber)!.encodedResults;
    client.requests.delete(requestNumber);
    client.sizeBytes -= length;
    this.#sizeBytes -= length;
  }

  #forget(clientId: string): SessionChange[] {
    const client = this.#clients.get(clientId)!;
    this.#clients.delete(clientId);
    this.#sizeBytes -= client.sizeBytes;
    const suffixes = [clientSuffix(clientId), ...Array.from(client.requests.keys(), (number) => requestSuffix(clientId, number))];
    return suffixes.map((suffix) => ({ suffix, value: undefined }));
  }
}

function clientSuffix(clientId: string): Uint8Array {
  const id = Buffer.from(clientId);
  return Buffer.concat([Uint8Array.of(id.length), id]);
}

function requestSuffix(clientId: string, requestNumber: number): Uint8Array {
  const number = Buffer.alloc(8);
  number.writeDoubleBE(requestNumber);
  return Buffer.concat([clientSuffix(clientId), number]);
}

function decodeSuffix(suffix: Uint8Array): { clientId: string; requestNumber: number | undefined } {
  const bytes = Buffer.from(suffix.buffer, suffix.byteOffset, suffix.byteLength);
  const end = 1 + (bytes[0] ?? 0);
  if (bytes.length !== end && bytes.length !== end + 8) throw new ShoalError('CORRUPTION', 'a key of the remembered requests is malformed');
  return { clientId: bytes.toString('utf8', 1, end), requestNumber: bytes.length === end ? undefined : bytes.readDoubleBE(end) };
}

function encodeClient({ floor, lastSeq }: Client): Uint8Array {
  const writer = new ByteWriter(16);
  writer.f64(floor);
  writer.f64(lastSeq);
  return writer.finish();
}

function decodeClient(value: Uint8Array): Pick<Client, 'floor' | 'lastSeq'> {
  const reader = new ByteReader(value);
  const client = { floor: reader.f64(), lastSeq: reader.f64() };
  reader.expectEnd();
  return client;
}

function encodeRequest({ seq, encodedResults }: StoredRequest): Uint8Array {
  const writer = new ByteWriter(8 + encodedResults.length);
  writer.f64(seq);
  writer.raw(encodedResults);
  return writer.finish();
}

function decodeRequest(value: Uint8Array): StoredRequest {
  const seq = new ByteReader(value.subarray(0, 8)).f64();
  const encodedResults = value.slice(8);
  // Checked now, so that a damaged one is found at the start and not by the client that repeats the request.
  decodeResults(encodedResults);
  return { seq, encodedResults };
}
