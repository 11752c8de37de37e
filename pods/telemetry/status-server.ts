/** The door of a process that serves no public API: whether it lives, whether it is ready, its metrics. */

import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';

export interface StatusServerOptions {
  readonly host: string;
  readonly port: number;
  readonly metrics: { readonly contentType: string; scrape(): string } | undefined;
  /** Why the process is not ready; empty when it is. */
  readonly notReady: () => readonly string[];
}

export interface StatusServer {
  readonly address: { readonly host: string; readonly port: number };
  close(): Promise<void>;
}

export async function startStatusServer({ host, port, metrics, notReady }: StatusServerOptions): Promise<StatusServer> {
  const server = createServer({ headersTimeout: limits.headersTimeoutMs, keepAliveTimeout: limits.keepAliveTimeoutMs, maxHeaderSize: limits.headerBytesMax }, (request, response) => {
    const path = request.url?.split('?')[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(response, 405, 'only GET\n');
    if (path === '/livez' || path === '/healthz') return answer(response, 200, 'OK\n');
    if (path === '/readyz') {
      const reasons = notReady();
      return reasons.length === 0 ? answer(response, 200, 'OK\n') : answer(response, 503, `${reasons.join('\n')}\n`);
    }
    if (path === '/metrics' && metrics !== undefined) return answer(response, 200, metrics.scrape(), metrics.contentType);
    return answer(response, 404, 'there are /livez, /readyz and /metrics\n');
  });
  server.maxConnections = 64;
  await listen(server, host, port);
  const { port: actual } = server.address() as AddressInfo;
  return {
    address: { host, port: actual },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(new ShoalError('UNAVAILABLE', `cannot listen on ${host}:${port}: ${cause.message}`, { cause })));
    server.listen(port, host, resolve);
  });
}

function answer(response: ServerResponse, status: number, text: string, contentType = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'Content-Type': contentType, 'Cache-Control': 'no-store' }).end(text);
}
