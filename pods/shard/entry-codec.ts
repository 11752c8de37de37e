/**
 * Log entries as bytes, little-endian:
 *
 *     u8   format (1)
 *     u8   flags: 1 = carries idempotency
 *     [u16 length, client id, f64 request number]
 *     u32  operation count, then per operation
 *            u8  kind
 *            u16 length, id or key
 *            1 upsert         f64 version | u32 components, f32 each | u32 length, payload | u32 1 + length or 0, text
 *            2 set-payload    f64 version | u32 length, payload
 *            3 delete
 *            4 put-record     f64 version | u32 length, value
 *            5 delete-record
 *     u32  result count, then per result
 *            u8  outcome | f64 version
 *
 * Lengths are in bytes, text is UTF-8. The log's checksum stands around all of it, so a malformed entry is a defect or a
 * newer version's work: both are refused as CORRUPTION, never guessed at.
 */

import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { recordHeaderBytes } from '../log/format.ts';
import type { ItemOutcome, OperationResult } from '../domain/write.ts';
import type { Entry, Operation } from './operation.ts';

const entryFormat = 1;
const entryBytesMax = limits.logRecordBytesMax - recordHeaderBytes;
const carriesIdempotency = 1;
const kinds = { upsert: 1, 'set-payload': 2, delete: 3, 'put-record': 4, 'delete-record': 5 } as const;
const outcomes: readonly ItemOutcome[] = ['created', 'updated', 'deleted', 'not-found', 'condition-failed'];

export function encodeEntry(entry: Entry): Uint8Array {
  const writer = new ByteWriter(entrySizeBytes(entry));
  writer.u8(entryFormat);
  writer.u8(entry.idempotency === undefined ? 0 : carriesIdempotency);
  if (entry.idempotency !== undefined) {
    writer.shortText(entry.idempotency.clientId);
    writer.f64(entry.idempotency.requestNumber);
  }
  writer.u32(entry.operations.length);
  for (const operation of entry.operations) writeOperation(writer, operation);
  writeResults(writer, entry.results);
  return writer.finish();
}

export function decodeEntry(bytes: Uint8Array): Entry {
  const reader = new ByteReader(bytes);
  const format = reader.u8();
  if (format !== entryFormat) throw new ShoalError('CORRUPTION', `log entry has format ${format}; this version knows ${entryFormat}`);
  const flags = reader.u8();
  const idempotency = (flags & carriesIdempotency) === 0 ? undefined : { clientId: reader.shortText(), requestNumber: reader.f64() };
  const operations = Array.from({ length: reader.count() }, () => readOperation(reader));
  const results = readResults(reader);
  reader.expectEnd();
  return { idempotency, operations, results };
}

/** Results alone, as the idempotency table stores them. */
export function encodeResults(results: readonly OperationResult[]): Uint8Array {
  const writer = new ByteWriter(resultsSizeBytes(results));
  writeResults(writer, results);
  return writer.finish();
}

export function decodeResults(bytes: Uint8Array): OperationResult[] {
  const reader = new ByteReader(bytes);
  const results = readResults(reader);
  reader.expectEnd();
  return results;
}

/** BATCH_TOO_LARGE for what the log would not take as one record. */
export function checkEntrySize(entry: Entry): void {
  const sizeBytes = entrySizeBytes(entry);
  if (sizeBytes <= entryBytesMax) return;
  throw new ShoalError('BATCH_TOO_LARGE', `the items for one shard have ${sizeBytes} bytes; the limit is ${entryBytesMax}; send smaller batches`, {
    details: { limit: entryBytesMax, found: sizeBytes },
  });
}

/** Exact size of the encoded entry. */
export function entrySizeBytes(entry: Entry): number {
  let size = 2 + 4 + resultsSizeBytes(entry.results);
  if (entry.idempotency !== undefined) size += 2 + Buffer.byteLength(entry.idempotency.clientId) + 8;
  for (const operation of entry.operations) size += operationSizeBytes(operation);
  return size;
}

function operationSizeBytes(operation: Operation): number {
  switch (operation.kind) {
    case 'upsert':
      return (
        3 + Buffer.byteLength(operation.id) + 8 + 4 + operation.vector.length + 4 + operation.payload.length + 4 +
        (operation.text === undefined ? 0 : Buffer.byteLength(operation.text))
      );
    case 'set-payload':
      return 3 + Buffer.byteLength(operation.id) + 8 + 4 + operation.payload.length;
    case 'delete':
      return 3 + Buffer.byteLength(operation.id);
    case 'put-record':
      return 3 + Buffer.byteLength(operation.key) + 8 + 4 + operation.value.length;
    case 'delete-record':
      return 3 + Buffer.byteLength(operation.key);
  }
}

function resultsSizeBytes(results: readonly OperationResult[]): number {
  return 4 + results.length * 9;
}

function writeOperation(writer: ByteWriter, operation: Operation): void {
  writer.u8(kinds[operation.kind]);
  switch (operation.kind) {
    case 'upsert':
      writer.shortText(operation.id);
      writer.f64(operation.version);
      writer.u32(operation.vector.length / 4);
      writer.raw(operation.vector);
      writer.bytes(operation.payload);
      writer.optionalText(operation.text);
      return;
    case 'set-payload':
      writer.shortText(operation.id);
      writer.f64(operation.version);
      writer.bytes(operation.payload);
      return;
    case 'delete':
      writer.shortText(operation.id);
      return;
    case 'put-record':
      writer.shortText(operation.key);
      writer.f64(operation.version);
      writer.bytes(operation.value);
      return;
    case 'delete-record':
      writer.shortText(operation.key);
      return;
  }
}

function readOperation(reader: ByteReader): Operation {
  const kind = reader.u8();
  const name = reader.shortText();
  switch (kind) {
    case kinds.upsert: {
      const version = reader.f64();
      const vector = reader.raw(4 * reader.u32());
      const payload = reader.bytes();
      return { kind: 'upsert', id: name, version, vector, payload, text: reader.optionalText() };
    }
    case kinds['set-payload']:
      return { kind: 'set-payload', id: name, version: reader.f64(), payload: reader.bytes() };
    case kinds.delete:
      return { kind: 'delete', id: name };
    case kinds['put-record']:
      return { kind: 'put-record', key: name, version: reader.f64(), value: reader.bytes() };
    case kinds['delete-record']:
      return { kind: 'delete-record', key: name };
    default:
      throw new ShoalError('CORRUPTION', `log entry has an operation of unknown kind ${kind}`);
  }
}

function writeResults(writer: ByteWriter, results: readonly OperationResult[]): void {
  writer.u32(results.length);
  for (const result of results) {
    writer.u8(outcomes.indexOf(result.outcome));
    writer.f64(result.version);
  }
}

function readResults(reader: ByteReader): OperationResult[] {
  return Array.from({ length: reader.count() }, () => {
    const outcome = outcomes[reader.u8()];
    if (outcome === undefined) throw new ShoalError('CORRUPTION', 'log entry has a result of unknown outcome');
    return { outcome, version: reader.f64() };
  });
}

/** Writes into one buffer of known size. */
export class ByteWriter {
  readonly #buffer: Buffer;
  #offset = 0;

  constructor(sizeBytes: number) {
    this.#buffer = Buffer.allocUnsafe(sizeBytes);
  }

  u8(value: number): void {
    this.#offset = this.#buffer.writeUInt8(value, this.#offset);
  }

  u32(value: number): void {
    this.#offset = this.#buffer.writeUInt32LE(value, this.#offset);
  }

  f64(value: number): void {
    this.#offset = this.#buffer.writeDoubleLE(value, this.#offset);
  }

  raw(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.#offset);
    this.#offset += bytes.length;
  }

  bytes(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.raw(bytes);
  }

  shortText(text: string): void {
    const length = this.#buffer.write(text, this.#offset + 2);
    this.#buffer.writeUInt16LE(length, this.#offset);
    this.#offset += 2 + length;
  }

  /** Zero when absent, else one more than the length, then the text. */
  optionalText(text: string | undefined): void {
    if (text === undefined) return this.u32(0);
    const length = this.#buffer.write(text, this.#offset + 4);
    this.u32(length + 1);
    this.#offset += length;
  }

  finish(): Uint8Array {
    if (this.#offset !== this.#buffer.length) throw new Error(`encoded ${this.#offset} bytes into a buffer of ${this.#buffer.length}`);
    return this.#buffer;
  }
}

/** Reads what `ByteWriter` wrote; anything that does not fit is CORRUPTION. */
export class ByteReader {
  readonly #buffer: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.#buffer[this.#take(1)]!;
  }

  u32(): number {
    return this.#buffer.readUInt32LE(this.#take(4));
  }

  f64(): number {
    return this.#buffer.readDoubleLE(this.#take(8));
  }

  /** A count of things that take at least a byte each, so that a damaged one cannot ask for gigabytes. */
  count(): number {
    const count = this.u32();
    if (count > this.#buffer.length - this.#offset) throw truncated();
    return count;
  }

  /** A view. */
  raw(length: number): Uint8Array {
    const start = this.#take(length);
    return this.#buffer.subarray(start, start + length);
  }

  /** A view. */
  bytes(): Uint8Array {
    return this.raw(this.u32());
  }

  shortText(): string {
    const length = this.#buffer.readUInt16LE(this.#take(2));
    const start = this.#take(length);
    return this.#buffer.toString('utf8', start, start + length);
  }

  optionalText(): string | undefined {
    const lengthPlusOne = this.u32();
    if (lengthPlusOne === 0) return undefined;
    const start = this.#take(lengthPlusOne - 1);
    return this.#buffer.toString('utf8', start, start + lengthPlusOne - 1);
  }

  get atEnd(): boolean {
    return this.#offset === this.#buffer.length;
  }

  expectEnd(): void {
    if (!this.atEnd) throw new ShoalError('CORRUPTION', 'stored bytes go on after their end');
  }

  #take(count: number): number {
    const start = this.#offset;
    if (start + count > this.#buffer.length) throw truncated();
    this.#offset += count;
    return start;
  }
}

function truncated(): ShoalError {
  return new ShoalError('CORRUPTION', 'stored bytes end too early');
}
