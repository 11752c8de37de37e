/**
 * API keys: `shoal_<prefix>_<secret>`. The prefix names the key and is no secret; the secret is 43 random base62
 * characters, 256 bits. Because it is random, one SHA-256 is the right hash: nothing can be guessed, so slowness would
 * protect nothing and would cost every request.
 */

import { hash, timingSafeEqual } from 'node:crypto';
import type { Random } from '../kernel/random.ts';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const prefixLength = 10;
const secretLength = 43;
const format = new RegExp(`^shoal_([0-9A-Za-z]{${prefixLength}})_[0-9A-Za-z]{${secretLength}}$`);

export interface NewApiKey {
  readonly prefix: string;
  /** The whole key, as its owner sends it. */
  readonly key: string;
}

export function makeApiKey(random: Random): NewApiKey {
  const prefix = base62(random, prefixLength);
  return { prefix, key: `shoal_${prefix}_${base62(random, secretLength)}` };
}

/** The prefix of a well-formed key, else undefined. */
export function prefixOf(key: string): string | undefined {
  return format.exec(key)?.[1];
}

/** Of the whole key, so that prefix and secret belong together. By way of a string: a buffer of its own costs as much as the hash. */
export function hashApiKey(key: string): Buffer {
  return Buffer.from(hash('sha256', key, 'binary'), 'binary');
}

export function sameHash(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function base62(random: Random, length: number): string {
  // Numbers from the top of the range would favour the first letters, so they are drawn again.
  const fair = Math.floor(2 ** 32 / alphabet.length) * alphabet.length;
  let text = '';
  while (text.length < length) {
    const word = random.uint32();
    if (word < fair) text += alphabet[word % alphabet.length];
  }
  return text;
}
