/** An API server that answers as a test tells it, over TLS, and counts what it was asked. */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock, type Clock } from '../kernel/clock.ts';
import { limits } from '../kernel/limits.ts';
import { seededRandom } from '../kernel/random.ts';
import { makeAuthority, makeIdentity } from '../wire/certificates.fixture.ts';
import { KubeClient } from './client.ts';

export interface FakeApiServer {
  /** `METHOD /path?query` of each request, in order. */
  readonly requests: string[];
  readonly client: KubeClient;
  close(): Promise<void>;
}

/** The client's time limits pass when a test says so, not when the machine is busy. */
export class Patience {
  readonly #running = new Set<() => void>();
  #isNextOver = false;

  readonly clock: Clock = {
    ...systemClock,
    after: (delayMs, callback) => {
      if (delayMs !== limits.kubeRequestTimeoutMs) return systemClock.after(delayMs, callback);
      if (this.#isNextOver) {
        this.#isNextOver = false;
        return systemClock.after(0, callback);
      }
      this.#running.add(callback);
      return { cancel: () => void this.#running.delete(callback) };
    },
  };

  /** For what the client waits for now. */
  ends(): void {
    for (const callback of this.#running) callback();
    this.#running.clear();
  }

  /** For what it will wait for next. */
  endsNext(): void {
    this.#isNextOver = true;
  }
}

export async function fakeApiServer(t: TestContext, answer: (request: IncomingMessage, response: ServerResponse, number: number, patience: Patience) => void): Promise<FakeApiServer> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-kube-'));
  const authority = await makeAuthority(directory, 'authority');
  const files = await makeIdentity(directory, 'server', authority);
  const requests: string[] = [];
  const patience = new Patience();
  const server = createServer({ cert: await readFile(files.certificate), key: await readFile(files.key) }, (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    request.resume().on('end', () => answer(request, response, requests.length, patience));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const agent = new Agent({ ca: await readFile(authority.certificate), keepAlive: true });
  const endpoint = {
    server: new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`),
    namespace: 'default',
    agent,
    credentials: () => Promise.resolve({ authorization: 'Bearer token' }),
  };
  const close = async (): Promise<void> => {
    agent.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  t.after(async () => {
    await close();
    await rm(directory, { recursive: true, force: true });
  });
  return { requests, client: new KubeClient({ endpoint, clock: patience.clock, random: seededRandom(1) }), close };
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
