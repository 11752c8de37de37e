/** One HTTPS request to the API server, sent once: what is known of its fate when it fails, and its body as it comes. */

import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { Clock } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { KubeEndpoint } from './endpoint.ts';

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly signal?: AbortSignal | undefined;
}

/** The request got no answer. `wasSent`: the server may have had it. */
export class NoAnswerError extends Error {
  readonly wasSent: boolean;

  constructor(wasSent: boolean, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.wasSent = wasSent;
  }
}

/** The answer's head; the caller reads or destroys the rest. NoAnswerError when none came within `timeoutMs`. */
export async function send(endpoint: KubeEndpoint, clock: Clock, timeoutMs: number, { method, path, query = {}, body, contentType, signal }: KubeRequest): Promise<IncomingMessage> {
  const url = new URL(endpoint.server.pathname.replace(/\/$/, '') + path, endpoint.server);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = {
    ...(await endpoint.credentials()),
    accept: 'application/json',
    'user-agent': 'shoal',
    ...(text === undefined ? {} : { 'content-type': contentType ?? 'application/json', 'content-length': String(Buffer.byteLength(text)) }),
  };
  return new Promise((resolve, reject) => {
    let wasSent = false;
    const outgoing = request(url, { method, headers, agent: endpoint.agent });
    const onAbort = (): void => void outgoing.destroy(signal?.reason as Error);
    const timer = clock.after(timeoutMs, () => outgoing.destroy(new Error(`${method} ${path} was not answered within ${timeoutMs} ms`)));
    const settle = (): void => {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
    };
    outgoing.on('socket', (socket) => {
      // Nothing goes out before the handshake is through; a connection that is used again is through it.
      if (outgoing.reusedSocket) wasSent = true;
      else socket.once('secureConnect', () => (wasSent = true));
      // Whoever is cut off without a word is noticed by the kernel, also while a watch is silent.
      socket.setKeepAlive(true, limits.kubeKeepAliveProbeMs);
    });
    outgoing.on('response', (answer) => {
      settle();
      resolve(answer);
    });
    outgoing.on('error', (error) => {
      settle();
      reject(new NoAnswerError(wasSent, error));
    });
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
    outgoing.end(text);
  });
}

/** The whole body as text; an error when it is late, cut, or larger than an answer may be. */
export function readBody(answer: IncomingMessage, clock: Clock, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    const timer = clock.after(timeoutMs, () => answer.destroy(new Error(`the answer was not complete within ${timeoutMs} ms`)));
    answer.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      sizeBytes += chunk.length;
      if (sizeBytes > limits.kubeAnswerBytesMax) answer.destroy(new ShoalError('UNAVAILABLE', `the API server's answer is larger than ${limits.kubeAnswerBytesMax} bytes`));
    });
    answer.on('end', () => {
      timer.cancel();
      if (answer.complete) resolve(Buffer.concat(chunks, sizeBytes).toString('utf8'));
      else reject(new Error('the answer was cut'));
    });
    answer.on('error', (error) => {
      timer.cancel();
      reject(error);
    });
    answer.on('close', () => {
      timer.cancel();
      if (!answer.complete) reject(new Error('the answer was cut'));
    });
  });
}
