/** Worker: parses large JSON bodies, and hands each back in parts that the event loop takes over one at a time. */

import assert from 'node:assert/strict';
import { parentPort } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { asShoalError } from '../kernel/errors.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { parseJson } from './json.ts';
import { splitValue } from './json-parts.ts';

export interface ParseRequest {
  readonly id: number;
  readonly bytes: Uint8Array;
  /** Gets the parts, all of them before the answer is posted. */
  readonly parts: MessagePort;
}

export type ParseAnswer = { readonly id: number; readonly kind: 'parsed' } | { readonly id: number; readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string };

assert.ok(parentPort !== null, 'this file runs as a worker');
const port = parentPort;

port.on('message', ({ id, bytes, parts }: ParseRequest) => {
  try {
    for (const part of splitValue(parseJson(bytes), bytes.length)) parts.postMessage(part);
    port.postMessage({ id, kind: 'parsed' } satisfies ParseAnswer);
  } catch (error) {
    const { code, message } = asShoalError(error);
    port.postMessage({ id, kind: 'failed', code, message } satisfies ParseAnswer);
  }
});
