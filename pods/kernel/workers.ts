/**
 * The one place that starts worker threads. A worker's file lies beside the module that starts it and has the same
 * extension: `.ts` when the sources run as they are, `.js` in the compiled package.
 */

import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker, type Transferable, type WorkerOptions } from 'node:worker_threads';

export interface WorkerThread<Request> {
  post(message: Request, transfer?: readonly Transferable[]): void;
  /** Resolves when the thread is gone, however it ended. */
  readonly ended: Promise<void>;
  /**
   * Ends the thread, whatever it is doing; resolves when it is gone. `onEnd` is not called for it. Not for a worker that
   * runs a native module: an interrupted native call may abort the process. Such a worker is asked to end by a message.
   */
  terminate(): Promise<void>;
}

export interface WorkerEvents<Response> {
  onMessage(message: Response): void;
  /** The thread ended by itself: an exception that nothing caught, lack of memory, or an exit. Called once. */
  onEnd(reason: Error): void;
}

/**
 * Starts `<name>.ts` or `<name>.js` beside the calling module: `startWorker(import.meta.url, 'hnswlib-worker', …)`.
 * `data` is the worker's `workerData`, copied.
 */
export function startWorker<Request, Response>(
  callerUrl: string,
  name: string,
  data: unknown,
  events: WorkerEvents<Response>,
  options: Pick<WorkerOptions, 'resourceLimits'> = {},
): WorkerThread<Request> {
  const file = new URL(`./${name}${extname(fileURLToPath(callerUrl))}`, callerUrl);
  const worker = new Worker(file, { ...options, name, workerData: data });
  let ended = false;
  const gone = Promise.withResolvers<void>();
  const end = (reason: Error): void => {
    if (ended) return;
    ended = true;
    events.onEnd(reason);
  };
  worker.on('message', (message: Response) => {
    if (!ended) events.onMessage(message);
  });
  worker.on('messageerror', (error) => end(error));
  worker.on('error', (error) => end(error instanceof Error ? error : new Error(String(error))));
  worker.on('exit', (code) => {
    end(new Error(`worker ${name} exited with code ${code}`));
    gone.resolve();
  });
  return {
    ended: gone.promise,
    post(message, transfer = []) {
      if (!ended) worker.postMessage(message, transfer);
    },
    async terminate() {
      ended = true;
      await worker.terminate();
    },
  };
}
