/** JSON over HTTP with one connection that is kept open, as the clients of such servers do it. */

import { Agent, request } from 'node:http';
import { boundsMs } from './time-bounds.ts';

export class HttpSession {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 });
  readonly #base: URL;

  /** `address`: host and port. */
  constructor(address: string) {
    this.#base = new URL(`http://${address}`);
  }

  call<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const asked = request(new URL(path, this.#base), {
        method,
        agent: this.#agent,
        timeout: boundsMs.request,
        headers: text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      });
      asked.on('error', reject);
      asked.on('timeout', () => asked.destroy(new Error(`${method} ${path}: no answer in time`)));
      asked.on('response', (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', reject);
        response.on('end', () => {
          const answer = Buffer.concat(parts).toString();
          if (response.statusCode! >= 300) reject(new Error(`${method} ${path}: ${response.statusCode} ${answer.slice(0, 500)}`));
          else resolve((answer === '' ? undefined : parsed(answer)) as Answer);
        });
      });
      asked.end(text);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Some answer with plain text. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
