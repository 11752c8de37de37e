/**
 * Batches in the order of their calls. The binding runs two writes on two threads, and either may win; so one runs at a
 * time, and what arrives meanwhile goes out together as the next one.
 */

import { limits } from '../kernel/limits.ts';
import type { WriteOperation } from './key-value-store.ts';

interface Waiting {
  readonly batch: readonly WriteOperation[];
  readonly bytes: number;
  readonly done: PromiseWithResolvers<void>;
}

export interface WriteQueue {
  /** Settles with the write that carries the batch. */
  write(batch: readonly WriteOperation[], bytes: number): Promise<void>;
  /** Resolves when every batch given before has settled, well or not. */
  drained(): Promise<void>;
}

export function writeQueue(writeGroup: (batches: readonly (readonly WriteOperation[])[]) => Promise<void>): WriteQueue {
  const waiting: Waiting[] = [];
  let last: Promise<unknown> = Promise.resolve();
  let running = false;

  const run = async (): Promise<void> => {
    running = true;
    while (waiting.length > 0) {
      const group = waiting.splice(0, groupLength(waiting));
      try {
        await writeGroup(group.map((entry) => entry.batch));
        for (const entry of group) entry.done.resolve();
      } catch (error) {
        for (const entry of group) entry.done.reject(error);
      }
    }
    running = false;
  };
  return {
    write(batch, bytes) {
      const done = Promise.withResolvers<void>();
      waiting.push({ batch, bytes, done });
      last = done.promise.catch(() => undefined);
      if (!running) void run();
      return done.promise;
    },
    async drained() {
      await last;
    },
  };
}

/** How many from the front fit into one write; at least one. */
function groupLength(waiting: readonly Waiting[]): number {
  let operations = 0;
  let bytes = 0;
  for (const [index, entry] of waiting.entries()) {
    operations += entry.batch.length;
    bytes += entry.bytes;
    const full = operations > limits.storageWriteGroupOperationCountMax || bytes > limits.storageWriteGroupBytesMax;
    if (full) return Math.max(index, 1);
  }
  return waiting.length;
}
