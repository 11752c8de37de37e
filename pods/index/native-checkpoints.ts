/**
 * Checkpoints of a native index: a base image and numbered deltas, none of which is ever written to again.
 *
 *     header.json       which images, in order
 *     base.bin          all nodes
 *     delta-0001.bin    what changed since the image before it
 *
 * Every checkpoint is whole in its directory: images of the one before are there by hard links, so that an older directory
 * can go without this one noticing. Where they cannot be linked (another volume, removed, or no such links) a base is
 * written; likewise when the deltas have outgrown half of it.
 */

import { link, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ShoalError } from '../kernel/errors.ts';
import type { CoreImageOutcome, CoreIndex, CoreSnapshot, NativeCore } from '../native/native-core.ts';
import { corrupt, readHeader, syncDirectory, writeHeader } from './checkpoint-files.ts';
import type { CheckpointPart, IndexParameters } from './vector-index.ts';

const baseName = 'base.bin';
const deltaCountMax = 64;
const corruptResult = 1;
const failedResult = 2;

interface Images {
  readonly directory: string;
  /** The base, then the deltas. */
  readonly parts: readonly CheckpointPart[];
}

export class NativeCheckpoints {
  readonly #core: NativeCore;
  readonly #index: CoreIndex;
  readonly #parameters: IndexParameters;
  /** What the next delta would follow. */
  #last: Images | undefined;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(core: NativeCore, index: CoreIndex, parameters: IndexParameters) {
    this.#core = core;
    this.#index = index;
    this.#parameters = parameters;
  }

  /** The index as it is at this call; additions under way, whose end is `additions`, are waited for. */
  write(directory: string, additions: Promise<unknown>): Promise<readonly CheckpointPart[]> {
    const snapshot = this.#core.snapshot(this.#index);
    const earlier = this.#writing;
    const written = (async () => {
      await Promise.allSettled([earlier, additions]);
      return this.#write(directory, snapshot);
    })();
    this.#writing = written.catch(() => undefined);
    return written;
  }

  async #write(directory: string, snapshot: CoreSnapshot): Promise<readonly CheckpointPart[]> {
    const last = this.#last;
    // Until this one is whole there is nothing that a delta could follow: the marks of what changed are taken by writing.
    this.#last = undefined;
    const kept = last !== undefined && hasRoomForDelta(last) && (await areLinked(last, directory)) ? last.parts : [];
    const isBase = kept.length === 0;
    const name = isBase ? baseName : `delta-${String(kept.length).padStart(4, '0')}.bin`;
    const [, , sizeBytes, checksum] = succeeded(await this.#core.write(this.#index, snapshot, isBase ? 1 : 0, join(directory, name)), directory, name);
    const images = [...kept, { name, sizeBytes, checksum }];
    const header = await writeHeader(directory, {
      format: 1,
      kind: 'native',
      parameters: this.#parameters,
      rowCount: 0,
      images: images.map((part) => part.name),
    });
    await syncDirectory(directory);
    this.#last = { directory, parts: images };
    return [header, ...images];
  }

  async load(directory: string, parts: readonly CheckpointPart[]): Promise<void> {
    const { images } = await readHeader(directory, parts, 'native', this.#parameters);
    if (!Array.isArray(images) || images.length === 0) throw corrupt(directory, 'header.json', 'names no images');
    const ordered = images.map((name) => {
      const part = parts.find((candidate) => candidate.name === name);
      if (part === undefined) throw corrupt(directory, name, 'is not among the parts');
      return part;
    });
    const outcome = await this.#core.read(
      this.#index,
      ordered.map((part) => join(directory, part.name)),
      ordered.map((part) => part.sizeBytes),
      ordered.map((part) => part.checksum),
    );
    succeeded(outcome, directory, 'an image');
    this.#last = { directory, parts: ordered };
  }
}

function hasRoomForDelta({ parts: [base, ...deltas] }: Images): boolean {
  const deltaBytes = deltas.reduce((sum, part) => sum + part.sizeBytes, 0);
  return deltas.length < deltaCountMax && deltaBytes < base!.sizeBytes / 2;
}

/** All of them or none. */
async function areLinked(images: Images, directory: string): Promise<boolean> {
  const linked: string[] = [];
  try {
    for (const { name } of images.parts) {
      await link(join(images.directory, name), join(directory, name));
      linked.push(name);
    }
    return true;
  } catch {
    for (const name of linked) await unlink(join(directory, name));
    return false;
  }
}

function succeeded(outcome: CoreImageOutcome, directory: string, name: string): CoreImageOutcome {
  const [result, problem] = outcome;
  if (result === corruptResult) throw corrupt(directory, name, `is damaged: ${problem}`);
  if (result === failedResult) throw new ShoalError('UNAVAILABLE', `index checkpoint: ${problem}`);
  return outcome;
}
