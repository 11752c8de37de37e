/** The segment files of a log: which there are, how a new one is made, how the oldest is removed. */

import assert from 'node:assert';
import type { FileHandle, FileSystem } from '../kernel/file-system.ts';
import { encodeSegmentHeader, segmentHeaderBytes, segmentName, segmentOfName } from './format.ts';
import type { FrameBuilder } from './frame-builder.ts';
import type { LogState } from './state.ts';

export interface Segment {
  readonly segment: number;
  /** Bytes that are durable. */
  sizeBytes: number;
}

export class SegmentStore {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  /** Ascending without gaps; the last one is being written. */
  readonly segments: Segment[] = [];
  readonly #skipSync: boolean;
  #newest: FileHandle | undefined;

  constructor(fileSystem: FileSystem, directory: string, skipSync: boolean) {
    this.fileSystem = fileSystem;
    this.directory = directory;
    this.#skipSync = skipSync;
  }

  path(segment: number): string {
    return `${this.directory}/${segmentName(segment)}`;
  }

  async list(): Promise<number[]> {
    const names = await this.fileSystem.list(this.directory);
    return names.map(segmentOfName).filter((segment) => segment !== undefined);
  }

  get newest(): Segment {
    const newest = this.segments.at(-1);
    assert(newest !== undefined, 'the log has no segment');
    return newest;
  }

  get newestHandle(): FileHandle {
    assert(this.#newest !== undefined, 'no segment is open for writing');
    return this.#newest;
  }

  /** Goes on with `handle` as the newest segment; the one before needs no handle any more. */
  async continueWith(segment: Segment, handle: FileHandle): Promise<void> {
    this.segments.push(segment);
    await this.close();
    this.#newest = handle;
  }

  /**
   * Makes the next segment with a header and a base frame. Its bytes, then its name, are durable before anything else
   * is written to it; until then it may be left as any part of that, which `recovery.ts` recognises and removes.
   */
  async begin(segment: number, state: LogState, builder: FrameBuilder): Promise<void> {
    const base = state.baseRecords();
    const chainCrcs = new Map(base.map(({ record, chainCrc }) => [record.localReplica, chainCrc]));
    const frame = await builder.build({
      kind: 'base',
      segment,
      frame: state.nextFrame,
      records: base.map(({ record }) => record),
      chainCrc: (localReplica) => chainCrcs.get(localReplica) ?? 0,
    });
    const header = encodeSegmentHeader({ segment, firstFrame: state.nextFrame });
    const handle = await this.fileSystem.open(this.path(segment), 'create');
    try {
      await handle.write([header, frame.bytes], 0);
      await this.sync(handle);
      await this.syncDirectory();
    } catch (error) {
      await handle.close().catch(() => undefined);
      throw error;
    }
    state.nextFrame++;
    await this.continueWith({ segment, sizeBytes: segmentHeaderBytes + frame.bytes.length }, handle);
  }

  /** Removes a segment file, durably. */
  async remove(segment: number): Promise<void> {
    await this.fileSystem.remove(this.path(segment));
    await this.syncDirectory();
  }

  async sync(handle: FileHandle): Promise<void> {
    if (!this.#skipSync) await handle.sync();
  }

  async syncDirectory(): Promise<void> {
    if (!this.#skipSync) await this.fileSystem.syncDirectory(this.directory);
  }

  async close(): Promise<void> {
    const handle = this.#newest;
    this.#newest = undefined;
    await handle?.close();
  }
}
