/** 32-bit floats as the shortest decimals that read back as the same floats: half the bytes of their 64-bit forms. */

export function shortFloat(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return rounded;
  }
  // Nine significant digits tell all 32-bit floats apart.
  return Number(value.toPrecision(9));
}

export function shortVector(vector: Float32Array): number[] {
  return Array.from(vector, shortFloat);
}
