/** HTTP requests to an address under another name, as an ingress controller tells its hosts apart. */

import { request } from 'node:http';
import { timeoutsMs } from '../../framework/timeouts.ts';

export interface HostAnswer {
  readonly status: number;
  readonly text: string;
  /** The body as JSON, undefined when it is none. */
  readonly json: unknown;
}

export interface HostRequest {
  readonly key?: string;
  readonly body?: unknown;
  readonly timeoutMs?: number;
  /** Which ends with the answer; otherwise one is shared where that is possible. */
  readonly ownConnection?: boolean;
}

/** GET, or POST of JSON where there is a body. */
export function httpByHost(address: string, host: string, path: string, { key, body, timeoutMs = timeoutsMs.request, ownConnection = false }: HostRequest = {}): Promise<HostAnswer> {
  const headers = {
    host,
    ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  };
  return new Promise((resolve, reject) => {
    const sent = request(`http://${address}${path}`, { method: body === undefined ? 'GET' : 'POST', headers, timeout: timeoutMs, ...(ownConnection ? { agent: false } : {}) }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        resolve({ status: answer.statusCode!, text, json: asJson(text) });
      });
    });
    sent.on('timeout', () => sent.destroy(new Error(`no answer from ${host} within ${timeoutMs} ms`)));
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
