/** The seed of a randomised suite: printed, and taken from SHOAL_SEED to run the same choices again. */

import { randomInt } from 'node:crypto';
import type { TestContext } from 'node:test';
import { seededRandom, type Random } from '../../pods/kernel/random.ts';

export function seedOf(t: TestContext): { readonly seed: number; readonly random: Random } {
  const given = process.env['SHOAL_SEED'];
  const seed = given === undefined ? randomInt(2 ** 32) : Number(given);
  if (!Number.isInteger(seed) || seed < 0) throw new Error(`SHOAL_SEED is "${given}"; it must be a non-negative integer`);
  t.diagnostic(`seed ${seed}; the same choices again: SHOAL_SEED=${seed}`);
  return { seed, random: seededRandom(seed) };
}

/** A positive integer from the environment, for the longer forms of a suite. */
export function countFrom(variable: string, fallback: number): number {
  const text = process.env[variable];
  if (text === undefined || text === '') return fallback;
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new Error(`${variable} is "${text}"; it must be a positive integer`);
  return count;
}
