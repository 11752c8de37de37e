/**
 * Payload indexes as a stream of bytes, little-endian. It is a sequence of frames:
 *
 *     u32 kind | u32 length of the body | u32 CRC-32C of kind, length and body, seeded with that of the frame before | body
 *
 *     1 header      u32 format (1) | u32 label limit | JSON of the specs
 *     then for each spec, in order
 *       2 field       u32 position among the specs
 *       3 set         u32 which (present, nulls, foreign, overfull) | u32 first word | words        as many as needed
 *       4 dictionary  u32 count | count × u32 number | count × u32 length in bytes | UTF-8          keyword fields
 *       5 pairs       u32 count | count × f64 key | count × u32 label                               ascending
 *     6 end         empty; nothing follows
 *
 * The chained checksums make a missing or doubled frame as visible as a flipped bit. Anything unexpected is CORRUPTION;
 * indexes can always be built again from payloads.
 */

import { crc32c } from '@node-rs/crc32';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { payloadIndexTypes, type PayloadIndexSpec } from '../domain/filter.ts';
import { LabelBits } from '../domain/label-set.ts';
import { ShoalError } from '../kernel/errors.ts';
import type { Dictionary } from './dictionary.ts';
import { FieldIndex } from './field-index.ts';
import type { PairRun } from './ordered-pairs.ts';

export type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

const format = 1;
const kinds = { header: 1, field: 2, set: 3, dictionary: 4, pairs: 5, end: 6 } as const;
const setNames = ['present', 'nulls', 'foreign', 'overfull'] as const;
const frameHeaderBytes = 12;
/** Bodies are made about this long; the turn of the event loop ends after each. */
const bodyBytes = 64 * 1024;
const bodyBytesMax = 2 * bodyBytes;

export async function encodeCheckpoint(
  fields: readonly FieldIndex[],
  labelLimit: number,
  write: (chunk: Uint8Array) => Promise<void>,
): Promise<void> {
  // All of this happens before the first await: it is the moment of the checkpoint.
  const snapshots = fields.map(snapshotOf);
  for (const { dictionary } of snapshots) dictionary?.pin();
  let checksum = 0;
  const send = async (kind: number, body: Uint8Array): Promise<void> => {
    const frame = new Uint8Array(frameHeaderBytes + body.length);
    const view = new DataView(frame.buffer);
    view.setUint32(0, kind, true);
    view.setUint32(4, body.length, true);
    checksum = frameChecksum(frame.subarray(0, 8), body, checksum);
    view.setUint32(8, checksum, true);
    frame.set(body, frameHeaderBytes);
    await write(frame);
    await nextTurn();
  };
  try {
    const specs = new TextEncoder().encode(JSON.stringify(fields.map(({ spec }) => ({ field: spec.field, type: spec.type }))));
    await send(kinds.header, joined([Uint32Array.of(format, labelLimit), specs]));
    for (const [position, snapshot] of snapshots.entries()) {
      await send(kinds.field, joined([Uint32Array.of(position)]));
      for (const body of setBodies(snapshot)) await send(kinds.set, body);
      if (snapshot.dictionary !== undefined) {
        for (const body of dictionaryBodies(snapshot.dictionary, snapshot.numberLimit)) await send(kinds.dictionary, body);
      }
      for (const body of pairBodies(snapshot.runs)) await send(kinds.pairs, body);
    }
    await send(kinds.end, new Uint8Array());
  } finally {
    for (const { dictionary } of snapshots) dictionary?.unpin();
  }
}

export async function decodeCheckpoint(chunks: Chunks): Promise<{ fields: FieldIndex[]; labelLimit: number }> {
  let state: Decoding | undefined;
  let ended = false;
  for await (const { kind, body } of framesOf(chunks)) {
    if (ended) throw corrupt('goes on after its end');
    if (state === undefined) {
      if (kind !== kinds.header) throw corrupt('does not begin with a header');
      state = readHeader(body);
    } else if (kind === kinds.end) {
      ended = true;
    } else {
      readFrame(state, kind, body);
    }
    await nextTurn();
  }
  if (!ended || state === undefined) throw corrupt('ends too early');
  if (state.fields.length !== state.specs.length) throw corrupt('lacks a field');
  return { fields: state.fields, labelLimit: state.labelLimit };
}

interface Snapshot {
  readonly sets: readonly Uint32Array[];
  readonly dictionary: Dictionary | undefined;
  readonly numberLimit: number;
  readonly runs: readonly PairRun[];
}

function snapshotOf(field: FieldIndex): Snapshot {
  return {
    sets: setNames.map((name) => field[name].toLabelSet().words),
    dictionary: field.dictionary,
    numberLimit: field.dictionary?.numberLimit ?? 0,
    runs: field.pairs.snapshot(),
  };
}

function* setBodies({ sets }: Snapshot): Generator<Uint8Array> {
  const wordCount = bodyBytes / 4;
  for (const [which, words] of sets.entries()) {
    for (let first = 0; first < words.length; first += wordCount) {
      yield joined([Uint32Array.of(which, first), words.subarray(first, first + wordCount)]);
    }
  }
}

function* dictionaryBodies(dictionary: Dictionary, numberLimit: number): Generator<Uint8Array> {
  const texts = Buffer.allocUnsafe(bodyBytes);
  const numbers: number[] = [];
  const lengths: number[] = [];
  let used = 0;
  const flush = (): Uint8Array => {
    const body = joined([Uint32Array.of(numbers.length), Uint32Array.from(numbers), Uint32Array.from(lengths), texts.subarray(0, used)]);
    numbers.length = lengths.length = used = 0;
    return body;
  };
  for (let number = 0; number < numberLimit; number++) {
    const text = dictionary.stringOf(number);
    if (text === undefined) continue;
    // UTF-8 takes at most three bytes for each unit of UTF-16.
    if (used + lengths.length * 8 + text.length * 3 > bodyBytes) yield flush();
    const length = texts.write(text, used, 'utf8');
    numbers.push(number);
    lengths.push(length);
    used += length;
  }
  if (numbers.length > 0) yield flush();
}

function* pairBodies(runs: readonly PairRun[]): Generator<Uint8Array> {
  const pairCount = Math.floor(bodyBytes / 12);
  let group: PairRun[] = [];
  let count = 0;
  const body = (): Uint8Array =>
    joined([
      Uint32Array.of(count),
      ...group.map((run) => run.keys.subarray(0, run.count)),
      ...group.map((run) => run.labels.subarray(0, run.count)),
    ]);
  for (const run of runs) {
    group.push(run);
    count += run.count;
    if (count < pairCount) continue;
    yield body();
    group = [];
    count = 0;
  }
  if (count > 0) yield body();
}

interface Decoding {
  readonly specs: readonly PayloadIndexSpec[];
  readonly labelLimit: number;
  readonly fields: FieldIndex[];
}

function readHeader(body: Uint8Array<ArrayBuffer>): Decoding {
  const reader = new BodyReader(body);
  const [found, labelLimit] = reader.words(2) as unknown as [number, number];
  if (found !== format) throw corrupt(`has format ${found}; this version knows ${format}`);
  let specs: unknown;
  try {
    specs = JSON.parse(reader.text(reader.remaining));
  } catch (error) {
    throw corrupt('has a header that is no JSON', error);
  }
  const valid =
    Array.isArray(specs) &&
    specs.every(
      (spec: Partial<PayloadIndexSpec> | null) =>
        typeof spec?.field === 'string' && (payloadIndexTypes as readonly unknown[]).includes(spec.type),
    );
  if (!valid) throw corrupt('names fields of unknown types');
  return { specs: specs as PayloadIndexSpec[], labelLimit, fields: [] };
}

function readFrame(state: Decoding, kind: number, body: Uint8Array<ArrayBuffer>): void {
  const reader = new BodyReader(body);
  if (kind === kinds.field) {
    const spec = state.specs[state.fields.length];
    if (reader.word() !== state.fields.length || spec === undefined) throw corrupt('has a field out of order');
    state.fields.push(new FieldIndex(spec));
    return reader.expectEnd();
  }
  const field = state.fields.at(-1);
  if (field === undefined) throw corrupt('has values before the first field');
  switch (kind) {
    case kinds.set: {
      const name = setNames[reader.word()];
      const first = reader.word();
      const words = reader.words(reader.remaining / 4);
      if (name === undefined || (first + words.length) * 32 > state.labelLimit + 31) throw corrupt('has labels above its limit');
      const whole = new Uint32Array(first + words.length);
      whole.set(words, first);
      field[name].or(LabelBits.fromWords(whole));
      return reader.expectEnd();
    }
    case kinds.dictionary: {
      const count = reader.word();
      const numbers = reader.words(count);
      const lengths = reader.words(count);
      for (const [i, number] of numbers.entries()) {
        if (field.dictionary?.restore(number, reader.text(lengths[i] as number)) !== true) throw corrupt('has a string out of order');
      }
      return reader.expectEnd();
    }
    case kinds.pairs: {
      const count = reader.word();
      const keys = reader.doubles(count);
      const labels = reader.words(count);
      const { dictionary } = field;
      if (labels.some((label) => label >= state.labelLimit)) throw corrupt('has labels above its limit');
      if (dictionary !== undefined && keys.some((key) => dictionary.stringOf(key) === undefined)) throw corrupt('lacks a string');
      if (!field.restorePairs(keys, labels)) throw corrupt('has values out of order');
      return reader.expectEnd();
    }
    default:
      throw corrupt(`has a frame of unknown kind ${kind}`);
  }
}

/** Cuts a stream into frames, their checksums compared. */
async function* framesOf(chunks: Chunks): AsyncGenerator<{ kind: number; body: Uint8Array<ArrayBuffer> }> {
  let held = new Uint8Array();
  let checksum = 0;
  for await (const chunk of chunks) {
    held = joined([held, chunk]);
    let start = 0;
    while (held.length - start >= frameHeaderBytes) {
      const view = new DataView(held.buffer, start);
      const length = view.getUint32(4, true);
      // Before anything is known to be whole, a length must not make us wait for gigabytes.
      if (length > bodyBytesMax) throw corrupt(`has a frame of ${length} bytes`);
      const end = start + frameHeaderBytes + length;
      if (end > held.length) break;
      const body = held.slice(start + frameHeaderBytes, end);
      checksum = frameChecksum(held.subarray(start, start + 8), body, checksum);
      if (view.getUint32(8, true) !== checksum) throw corrupt('fails its checksum');
      yield { kind: view.getUint32(0, true), body };
      start = end;
    }
    held = held.slice(start);
  }
  if (held.length > 0) throw corrupt('ends within a frame');
}

function frameChecksum(kindAndLength: Uint8Array, body: Uint8Array, before: number): number {
  return crc32c(body, crc32c(kindAndLength, before));
}

/** Reads a body whose checksum is right; a body too short is a defect or another version's work, and CORRUPTION too. */
class BodyReader {
  readonly #body: Buffer;
  #position = 0;

  constructor(body: Uint8Array<ArrayBuffer>) {
    this.#body = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  }

  get remaining(): number {
    return this.#body.length - this.#position;
  }

  word(): number {
    return this.words(1)[0] as number;
  }

  words(count: number): Uint32Array<ArrayBuffer> {
    return new Uint32Array(this.#take(count * 4).buffer);
  }

  doubles(count: number): Float64Array<ArrayBuffer> {
    return new Float64Array(this.#take(count * 8).buffer);
  }

  text(byteCount: number): string {
    if (!Number.isInteger(byteCount) || byteCount > this.remaining) throw corrupt('has a frame that is too short');
    const start = this.#position;
    this.#position += byteCount;
    return this.#body.toString('utf8', start, this.#position);
  }

  expectEnd(): void {
    if (this.remaining > 0) throw corrupt('has a frame that is too long');
  }

  /** A copy, aligned for any view. */
  #take(byteCount: number): Uint8Array<ArrayBuffer> {
    if (!Number.isInteger(byteCount) || byteCount > this.remaining) throw corrupt('has a frame that is too short');
    const start = this.#position;
    this.#position += byteCount;
    return new Uint8Array(this.#body.subarray(start, this.#position));
  }
}

function joined(parts: readonly (Uint8Array | Uint32Array | Float64Array)[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let position = 0;
  for (const part of parts) {
    whole.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), position);
    position += part.byteLength;
  }
  return whole;
}

function corrupt(problem: string, cause?: unknown): ShoalError {
  return new ShoalError('CORRUPTION', `payload index checkpoint ${problem}`, { cause });
}
