/** 32-bit floats as short decimals that read back as the same floats: half the bytes of their 64-bit forms. */

export function shortFloat(value: number): number {
  const rounded = Number(value.toPrecision(8));
  // Nine significant digits tell all 32-bit floats apart.
  return Math.fround(rounded) === value ? rounded : Number(value.toPrecision(9));
}

export function shortVector(vector: Float32Array): number[] {
  return Array.from(vector, shortFloat);
}
