/** Kubernetes' quantities, such as `100Gi`, `1.5T` or `2e9`, as whole bytes. */

const factors: Readonly<Record<string, number>> = {
  n: 1e-9, u: 1e-6, m: 1e-3, '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18,
  Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60,
}; // prettier-ignore

/** Rounded up, as Kubernetes does; undefined for what is no quantity. Exact up to 2^53. */
export function quantityBytes(text: string): number | undefined {
  const found = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|(n|u|m|k|[MGTPE]i?|Ki)?)$/.exec(text);
  if (found === null) return undefined;
  const [, number = '', exponent = '', unit = ''] = found;
  return Math.ceil(Number(`${number}${exponent}`) * factors[unit]!);
}
