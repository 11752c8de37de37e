/**
 * The files of an index checkpoint: written in chunks with their CRC-32C, synced, and read again only after size and
 * checksum were compared with what the manifest says. The first part of every checkpoint is `header.json`.
 */

import { crc32c } from '@node-rs/crc32';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { ShoalError } from '../kernel/errors.ts';
import type { CheckpointPart, IndexParameters, VectorIndex } from './vector-index.ts';

const chunkBytes = 1 << 20;
const headerName = 'header.json';

export interface CheckpointHeader {
  readonly format: 1;
  readonly kind: VectorIndex['kind'];
  readonly parameters: IndexParameters;
  /** Rows of the flat index, slots of a graph (removed ones too). */
  readonly rowCount: number;
  /** Of a graph under `dot`: see hnswlib-graph.ts. */
  readonly normBound?: number;
  /** Of a native index, in order: see native-checkpoints.ts. */
  readonly images?: readonly string[];
}

/** Writes the file and makes its bytes durable; its name is durable after `syncDirectory`. */
export async function writePart(
  directory: string,
  name: string,
  chunks: Iterable<Uint8Array>,
): Promise<CheckpointPart> {
  const file = await open(join(directory, name), 'wx');
  try {
    let sizeBytes = 0;
    let checksum = 0;
    for (const chunk of chunks) {
      for (let offset = 0; offset < chunk.length; offset += chunkBytes) {
        const piece = chunk.subarray(offset, offset + chunkBytes);
        checksum = crc32c(piece, checksum);
        await writeAll(file, piece);
        sizeBytes += piece.length;
      }
    }
    await file.sync();
    return { name, sizeBytes, checksum };
  } finally {
    await file.close();
  }
}

export function writeHeader(directory: string, header: CheckpointHeader): Promise<CheckpointPart> {
  return writePart(directory, headerName, [new TextEncoder().encode(JSON.stringify(header))]);
}

/** Syncs a file that something else wrote, and reads it back for its size and checksum. */
export async function sealPart(
  directory: string,
  name: string,
  onChunk: (chunk: Uint8Array) => void,
): Promise<CheckpointPart> {
  const file = await open(join(directory, name), 'r+');
  try {
    await file.sync();
    let sizeBytes = 0;
    let checksum = 0;
    for await (const chunk of chunksOf(file)) {
      checksum = crc32c(chunk, checksum);
      sizeBytes += chunk.length;
      onChunk(chunk);
    }
    return { name, sizeBytes, checksum };
  } finally {
    await file.close();
  }
}

export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Reads a part from end to end. `onChunk` sees bytes before the checksum is known: it may collect them, and whoever
 * uses them waits for this to resolve.
 */
export async function readPart(
  directory: string,
  parts: readonly CheckpointPart[],
  name: string,
  onChunk: (chunk: Uint8Array) => void,
): Promise<void> {
  const part = parts.find((candidate) => candidate.name === name);
  if (part === undefined) throw corrupt(directory, name, 'is not among the parts');
  let sizeBytes = 0;
  let checksum = 0;
  try {
    const file = await open(join(directory, name), 'r');
    try {
      const found = (await file.stat()).size;
      if (found !== part.sizeBytes) throw corrupt(directory, name, `has ${found} bytes instead of ${part.sizeBytes}`);
      for await (const chunk of chunksOf(file)) {
        checksum = crc32c(chunk, checksum);
        sizeBytes += chunk.length;
        onChunk(chunk);
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof ShoalError) throw error;
    throw corrupt(directory, name, 'cannot be read', error);
  }
  if (sizeBytes !== part.sizeBytes || checksum !== part.checksum) throw corrupt(directory, name, 'fails its checksum');
}

/** Reads the whole of a small part. */
export async function readWholePart(
  directory: string,
  parts: readonly CheckpointPart[],
  name: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const whole = new Uint8Array(parts.find((part) => part.name === name)?.sizeBytes ?? 0);
  let offset = 0;
  await readPart(directory, parts, name, (chunk) => {
    if (offset + chunk.length <= whole.length) whole.set(chunk, offset);
    offset += chunk.length;
  });
  return whole;
}

/** Reads the header and compares it with what the caller is about to open. */
export async function readHeader(
  directory: string,
  parts: readonly CheckpointPart[],
  kind: VectorIndex['kind'],
  parameters: IndexParameters,
): Promise<CheckpointHeader> {
  const bytes = await readWholePart(directory, parts, headerName);
  const header = JSON.parse(new TextDecoder().decode(bytes)) as CheckpointHeader;
  const same =
    header.format === 1 &&
    header.kind === kind &&
    header.parameters.dimension === parameters.dimension &&
    header.parameters.metric === parameters.metric &&
    (kind !== 'native' || (header.parameters.quantization ?? 'none') === (parameters.quantization ?? 'none')) &&
    (kind === 'flat' ||
      (header.parameters.m === parameters.m && header.parameters.efConstruction === parameters.efConstruction));
  if (!same) throw corrupt(directory, headerName, 'belongs to an index of other parameters');
  return header;
}

export function corrupt(directory: string, name: string, problem: string, cause?: unknown): ShoalError {
  return new ShoalError('CORRUPTION', `index checkpoint: ${name} ${problem}`, { details: { directory, name }, cause });
}

type OpenFile = Awaited<ReturnType<typeof open>>;

async function writeAll(file: OpenFile, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    written += (await file.write(bytes, written, bytes.length - written)).bytesWritten;
  }
}

async function* chunksOf(file: OpenFile): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(chunkBytes);
  for (let position = 0; ; ) {
    const { bytesRead } = await file.read(buffer, 0, chunkBytes, position);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    position += bytesRead;
  }
}
