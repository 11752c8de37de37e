/**
 * How a shard lays its points out in the key-value store, and how it reads them back. Values, little-endian:
 *
 *     id → f64 version | f64 vector version | u32 label
 *     vector, by label → f32 each
 *     payload, by label → f64 version | u16 length, id | u32 length, payload | u32 1 + length or 0, text
 *     record, by key → f64 version | value
 *     session → see idempotency.ts
 *     meta, by name → see replica-state.ts
 *
 * A payload change rewrites the small values only. Reads go from id to label to values without a snapshot: a label is
 * not reused while a read is under way (`ReaderEpochs`), so a value is either the right one or gone, and then the id is
 * looked up again.
 */

import { ShoalError } from '../kernel/errors.ts';
import type { Payload } from '../domain/point.ts';
import { vectorOfBytes, type VectorBytes } from '../domain/vector-bytes.ts';
import { decodeKey, keySpace, keyWithLabel, keyWithText, labelOfKey, spaceOfKey } from '../storage/keys.ts';
import type { KeyValueReader, WriteOperation } from '../storage/key-value-store.ts';
import { CachedPayloads } from './cached-payloads.ts';
import { ByteReader, ByteWriter } from './entry-codec.ts';
import { PayloadRing } from './payload-ring.ts';

export interface PointState {
  readonly label: number;
  readonly version: number;
  readonly vectorVersion: number;
}

export interface StoredPayload {
  readonly id: string;
  readonly version: number;
  /** JSON text in UTF-8. */
  readonly payload: Uint8Array;
  readonly text: string | undefined;
  /** The payload, once it was parsed. */
  parsed?: Payload;
}

const decoder = new TextDecoder();

export class StoredPoints {
  readonly #store: KeyValueReader;
  readonly #replica: number;
  readonly #cached: CachedPayloads;

  /** The ring may be shared with other replicas. */
  constructor(store: KeyValueReader, localReplica: number, ring: PayloadRing = new PayloadRing()) {
    this.#store = store;
    this.#replica = localReplica;
    this.#cached = new CachedPayloads(ring, (labels) => this.#payloadValues(labels));
  }

  async states(ids: readonly string[]): Promise<(PointState | undefined)[]> {
    const values = await this.#store.getMany(ids.map((id) => this.#idKey(id)));
    return values.map((value) => (value === undefined ? undefined : decodeState(value)));
  }

  async payloads(labels: ArrayLike<number>): Promise<(StoredPayload | undefined)[]> {
    return decodePayloads(await this.#payloadValues(labels));
  }

  /** The same of points that others may ask for too: what was read lately comes from memory. Not for reading through many points. */
  async payloadsOfHits(labels: readonly number[]): Promise<(StoredPayload | undefined)[]> {
    return decodePayloads(await this.#cached.read(labels));
  }

  async vectors(labels: ArrayLike<number>): Promise<(Float32Array | undefined)[]> {
    const values = await this.vectorBytes(labels);
    return values.map((value) => (value === undefined ? undefined : decodeVector(value)));
  }

  vectorBytes(labels: ArrayLike<number>): Promise<(VectorBytes | undefined)[]> {
    return this.#store.getMany(Array.from(labels, (label) => keyWithLabel(this.#replica, 'vector', label)));
  }

  /** Every point's id and state, in the order of the ids' bytes, in slices. */
  async *scanStates(afterId: string | undefined, signal?: AbortSignal): AsyncGenerator<{ id: string; state: PointState }[]> {
    const range = keySpace(this.#replica, 'id').span;
    // The least key greater than `afterId` is that id with a zero byte, which no id holds, behind it.
    const start = afterId === undefined ? range.start : keyWithText(this.#replica, 'id', `${afterId}\0`);
    for await (const slice of this.#store.scan({ start, end: range.end }, signal)) {
      yield slice.map(({ key, value }) => ({ id: decoder.decode(decodeKey(key).suffix), state: decodeState(value) }));
    }
  }

  /** Adds what stores the point to `batch`. */
  put(batch: WriteOperation[], id: string, state: PointState, payload: StoredPayload, vector?: VectorBytes): void {
    batch.push({ kind: 'put', key: this.#idKey(id), value: encodeState(state) });
    batch.push({ kind: 'put', key: keyWithLabel(this.#replica, 'payload', state.label), value: encodePayload(payload) });
    if (vector !== undefined) batch.push({ kind: 'put', key: keyWithLabel(this.#replica, 'vector', state.label), value: vector });
  }

  deleteLabel(batch: WriteOperation[], label: number): void {
    batch.push({ kind: 'delete', key: keyWithLabel(this.#replica, 'payload', label) });
    batch.push({ kind: 'delete', key: keyWithLabel(this.#replica, 'vector', label) });
  }

  deleteId(id: string): WriteOperation {
    return { kind: 'delete', key: this.#idKey(id) };
  }

  /** Runs the write of a batch, to which `put` and `deleteLabel` may have added. One at a time. */
  change(batch: readonly WriteOperation[], write: () => Promise<void>): Promise<void> {
    const labels: number[] = [];
    for (const operation of batch) {
      if (operation.kind !== 'delete-range' && spaceOfKey(operation.key) === 'payload') labels.push(labelOfKey(operation.key));
    }
    return this.#cached.change(labels, write);
  }

  /** Nothing of it is kept in memory any more. */
  close(): void {
    this.#cached.close();
  }

  #payloadValues(labels: ArrayLike<number>): Promise<(Uint8Array | undefined)[]> {
    return this.#store.getMany(Array.from(labels, (label) => keyWithLabel(this.#replica, 'payload', label)));
  }

  #idKey(id: string): Uint8Array {
    return keyWithText(this.#replica, 'id', id);
  }
}

/** Nobody changes what it returns. */
export function parsePayload(stored: StoredPayload): Payload {
  return (stored.parsed ??= JSON.parse(decoder.decode(stored.payload)) as Payload);
}

function encodeState(state: PointState): Uint8Array {
  const value = Buffer.allocUnsafe(20);
  value.writeDoubleLE(state.version, 0);
  value.writeDoubleLE(state.vectorVersion, 8);
  value.writeUInt32LE(state.label, 16);
  return value;
}

function decodeState(value: Uint8Array): PointState {
  const reader = new ByteReader(value);
  const state = { version: reader.f64(), vectorVersion: reader.f64(), label: reader.u32() };
  reader.expectEnd();
  return state;
}

function encodePayload(stored: StoredPayload): Uint8Array {
  const textBytes = stored.text === undefined ? 0 : Buffer.byteLength(stored.text);
  const writer = new ByteWriter(8 + 2 + Buffer.byteLength(stored.id) + 4 + stored.payload.length + 4 + textBytes);
  writer.f64(stored.version);
  writer.shortText(stored.id);
  writer.bytes(stored.payload);
  writer.optionalText(stored.text);
  return writer.finish();
}

function decodePayloads(values: readonly (Uint8Array | undefined)[]): (StoredPayload | undefined)[] {
  return values.map((value) => (value === undefined ? undefined : decodePayload(value)));
}

function decodePayload(value: Uint8Array): StoredPayload {
  const reader = new ByteReader(value);
  const stored = { version: reader.f64(), id: reader.shortText(), payload: reader.bytes(), text: reader.optionalText() };
  reader.expectEnd();
  return stored;
}

function decodeVector(value: VectorBytes): Float32Array {
  if (value.length % 4 !== 0) throw new ShoalError('CORRUPTION', 'a stored vector is not a whole number of floats');
  return vectorOfBytes(value);
}
