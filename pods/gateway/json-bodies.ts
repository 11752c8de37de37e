/** Turns bodies into JSON values without holding the event loop: small ones here, large ones in a worker. */

import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { withSignal } from '../kernel/deadline.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import { startWorker } from '../kernel/workers.ts';
import type { WorkerThread } from '../kernel/workers.ts';
import { parseJson } from './json.ts';
import { addPart } from './json-parts.ts';
import type { Part } from './json-parts.ts';
import type { ParseAnswer, ParseRequest } from './json-worker.ts';

export interface JsonBodies {
  /** MALFORMED_BODY, OVERLOADED, or the signal's reason. A large body's memory is given to the worker. */
  parse(bytes: Uint8Array, signal: AbortSignal): unknown;
  close(): Promise<void>;
}

interface Waiting {
  resolve(): void;
  reject(error: ShoalError): void;
}

/** The worker starts with the first large body, and anew after it ended for lack of memory. */
export function createJsonBodies(logger: Logger): JsonBodies {
  const waiting = new Map<number, Waiting>();
  let worker: WorkerThread<ParseRequest> | undefined;
  let nextId = 1;

  const settle = (id: number, act: (entry: Waiting) => void): void => {
    const entry = waiting.get(id);
    waiting.delete(id);
    if (entry !== undefined) act(entry);
  };

  const start = (): WorkerThread<ParseRequest> =>
    startWorker<ParseRequest, ParseAnswer>(
      import.meta.url,
      'json-worker',
      undefined,
      {
        onMessage: (answer) => settle(answer.id, (entry) => (answer.kind === 'parsed' ? entry.resolve() : entry.reject(new ShoalError(answer.code, answer.message)))),
        onEnd(reason) {
          worker = undefined;
          logger.error({ error: reason.message }, 'the worker that parses large bodies ended');
          for (const id of [...waiting.keys()]) settle(id, (entry) => entry.reject(new ShoalError('UNAVAILABLE', 'the body could not be parsed; send smaller batches')));
        },
      },
      { resourceLimits: { maxOldGenerationSizeMb: limits.parseWorkerMemoryMebibytesMax } },
    );

  const parseInWorker = async (bytes: Uint8Array, signal: AbortSignal): Promise<unknown> => {
    if (waiting.size >= limits.parseQueueMax) throw new ShoalError('OVERLOADED', `${limits.parseQueueMax} large bodies wait to be parsed, which is the limit`);
    worker ??= start();
    const { port1, port2 } = new MessageChannel();
    const id = nextId++;
    const answered = new Promise<void>((resolve, reject) => waiting.set(id, { resolve, reject }));
    worker.post({ id, bytes, parts: port2 }, [port2, ...ownMemory(bytes)]);
    try {
      await withSignal(answered, signal);
      return await join(port1, signal);
    } finally {
      port1.close();
    }
  };

  return {
    parse: (bytes, signal) => (bytes.length <= limits.httpBodyOnLoopBytesMax ? parseJson(bytes) : parseInWorker(bytes, signal)),
    close: async () => worker?.terminate(),
  };
}

/** The buffer, if nothing else lives in it. */
function ownMemory(bytes: Uint8Array): ArrayBuffer[] {
  const { buffer } = bytes;
  return buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength ? [buffer] : [];
}

/** One part for each turn of the event loop. */
async function join(port: MessagePort, signal: AbortSignal): Promise<unknown> {
  let value: unknown;
  for (;;) {
    const received = receiveMessageOnPort(port) as { message: Part } | undefined;
    if (received === undefined) return value;
    value = addPart(value, received.message);
    await new Promise((resolve) => setImmediate(resolve));
    if (signal.aborted) throw signal.reason;
  }
}
