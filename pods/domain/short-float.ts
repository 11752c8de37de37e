/**
 * 32-bit floats as short decimals. A float given as 0.1 is held as 0.10000000149011612, the nearest 32-bit value; written
 * like that it would be twice as long and would not be what was given. So the number with the fewest significant digits
 * is taken that reads back as the same float. Nine always suffice, and up to six digits come back as they were given.
 */

/** -0 is written 0, as JSON has it in most readers. Not a finite number: as it is. */
export function shortFloat(float: number): number {
  if (Number.isInteger(float) && Math.abs(float) <= 2 ** 24) return float + 0;
  if (!Number.isFinite(float)) return float;
  const scaled = shortByScale(float);
  if (scaled !== undefined) return scaled;
  for (const digits of [6, 7, 8]) {
    const short = Number(float.toPrecision(digits));
    if (Math.fround(short) === float) return short;
  }
  return Number(float.toPrecision(9));
}

export function shortFloats(vector: Float32Array): number[] {
  return Array.from(vector, shortFloat);
}

const powersOfTen = Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));

/**
 * The same by arithmetic, many times faster, for the magnitudes that vectors have. A whole number divided by a power of ten
 * up to 10^22, which doubles hold exactly, gives the double nearest to that decimal. Undefined where this does not apply.
 */
function shortByScale(float: number): number | undefined {
  const magnitude = Math.abs(float);
  if (magnitude >= 1e6 || magnitude < 1e-12) return undefined;
  const exponent = Math.floor(Math.log10(magnitude));
  for (let digits = 6; digits <= 9; digits++) {
    const power = powersOfTen[digits - 1 - exponent]!;
    const short = Math.round(float * power) / power;
    if (Math.fround(short) === float) return short;
  }
  return undefined;
}
