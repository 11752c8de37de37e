/** Randomness behind a seam: `systemRandom` in production, `seededRandom` where a run must repeat. */

import { randomBytes, randomUUID } from 'node:crypto';

export interface Random {
  /** Uniform in [0, 2^32). */
  uint32(): number;
  /** Uniform in [0, 1). */
  fraction(): number;
  uuid(): string;
}

export const systemRandom: Random = {
  uint32: () => randomBytes(4).readUInt32LE(0),
  fraction: () => Math.random(),
  uuid: () => randomUUID(),
};

/** xoshiro128** (Blackman and Vigna), its state filled from `seed` by splitmix32. */
export function seededRandom(seed: number): Random {
  let mix = seed >>> 0;
  const nextMix = (): number => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  let a = nextMix();
  let b = nextMix();
  let c = nextMix();
  let d = nextMix();
  const rotate = (x: number, bits: number): number => ((x << bits) | (x >>> (32 - bits))) >>> 0;
  const uint32 = (): number => {
    const result = Math.imul(rotate(Math.imul(b, 5) >>> 0, 7), 9) >>> 0;
    const t = (b << 9) >>> 0;
    c = (c ^ a) >>> 0;
    d = (d ^ b) >>> 0;
    b = (b ^ c) >>> 0;
    a = (a ^ d) >>> 0;
    c = (c ^ t) >>> 0;
    d = rotate(d, 11);
    return result;
  };
  const hex = (word: number): string => word.toString(16).padStart(8, '0');
  return {
    uint32,
    fraction: () => uint32() / 2 ** 32,
    uuid() {
      const word2 = hex(uint32());
      const word3 = hex(uint32());
      return `${hex(uint32())}-${word2.slice(0, 4)}-4${word2.slice(5)}-8${word3.slice(1, 4)}-${word3.slice(4)}${hex(uint32())}`;
    },
  };
}

/** Uniform integer in [0, bound). */
export function below(random: Random, bound: number): number {
  return Math.floor(random.fraction() * bound);
}
