/**
 * 32-bit floats as the numbers of a JSON answer. A float given as 0.1 is held as 0.10000000149011612, the nearest 32-bit
 * value; answered like that it would be twice as long and would not be what the client sent. So the number with at most
 * nine decimals is taken where it reads back as the same float, which is so for what people write and for most of what
 * models compute.
 */

export function numbersOf(vector: Float32Array): number[] {
  return Array.from(vector, shortNumber);
}

/** A number that is the same 32-bit float as `float`, with few digits where there is one. */
export function shortNumber(float: number): number {
  const seven = Math.round(float * 1e7) / 1e7;
  if (Math.fround(seven) === float) return seven;
  const nine = Math.round(float * 1e9) / 1e9;
  return Math.fround(nine) === float ? nine : float;
}
