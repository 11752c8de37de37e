import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shortFloat, shortFloats } from './short-float.ts';

const numbers: readonly [given: number, text: string][] = [
  [0.1, '0.1'],
  [0.3, '0.3'],
  [-0.3, '-0.3'],
  [1, '1'],
  [0, '0'],
  [-0, '0'],
  [1.1, '1.1'],
  [0.12345679, '0.12345679'],
  [0.123456789, '0.12345679'],
  [1.0000001, '1.0000001'],
  [123456.7, '123456.7'],
  [3.4028235e38, '3.4028235e+38'],
  [1e-12, '1e-12'],
  [1.1754944e-38, '1.1754944e-38'],
  [1e-45, '1.4013e-45'],
  [16777216, '16777216'],
  [1234567890, '1234568000'],
];
for (const [given, text] of numbers) {
  test(`the 32-bit float ${given} is written ${text}`, () => {
    assert.equal(JSON.stringify(shortFloat(Math.fround(given))), text);
  });
}

/** Floats of all magnitudes by their bits, and of those that vectors have. */
function samples(count: number): Float32Array {
  let state = 1;
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
  const anywhere = new Float32Array(new Uint32Array(count).map(next).buffer).filter(Number.isFinite);
  return Float32Array.from([...anywhere, ...Array.from({ length: count }, () => next() / 2 ** 31 - 1)]);
}

test('every float reads back as itself', () => {
  const floats = samples(20_000);
  assert.deepEqual(Float32Array.from(JSON.parse(JSON.stringify(shortFloats(floats))) as number[]), floats.map((float) => float + 0));
});

test('no float has a shorter decimal', () => {
  const digitsOf = (text: string): number => text.replace(/e.*$/, '').replace(/[-.]/g, '').replace(/^0+/, '').replace(/0+$/, '').length;
  for (const float of samples(5_000)) {
    const digits = digitsOf(String(shortFloat(float)));
    const fewest = [6, 7, 8, 9].map((count) => float.toPrecision(count)).find((text) => Math.fround(Number(text)) === float)!;
    assert.ok(digits <= digitsOf(fewest), `${float} is written ${shortFloat(float)}, and ${fewest} would do`);
  }
});

test('what is no finite number stays as it is', () => {
  assert.deepEqual([NaN, Infinity, -Infinity].map(shortFloat), [NaN, Infinity, -Infinity]);
});
