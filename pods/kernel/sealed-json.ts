/** Small files that carry their own checksum: JSON on one line, its CRC-32C in hex on the next. */

import { crc32c } from '@node-rs/crc32';

export function sealJson(value: unknown): Uint8Array {
  const text = JSON.stringify(value);
  return new TextEncoder().encode(`${text}\n${crc32c(text).toString(16)}\n`);
}

/** The value, or undefined when the bytes are damaged. */
export function openSealedJson(bytes: Uint8Array): unknown {
  const [text, checksum] = new TextDecoder().decode(bytes).split('\n');
  if (text === undefined || crc32c(text).toString(16) !== checksum) return undefined;
  return JSON.parse(text) as unknown;
}
