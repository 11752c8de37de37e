/** Amounts as Kubernetes writes them: `10Gi`, `500m`, `1e3`. */

const factors: Readonly<Record<string, number>> = {
  n: 1e-9, u: 1e-6, m: 1e-3, '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18,
  Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60,
};

/** Undefined where it is none. */
export function quantityOf(text: string): number | undefined {
  const [, digits, suffix] = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(n|u|m|k|[MGTPE]i?|Ki)?$/.exec(text) ?? [];
  return digits === undefined ? undefined : Number(digits) * factors[suffix ?? '']!;
}

/** Whether two values are the same amount, however they are written. */
export function sameQuantity(a: unknown, b: unknown): boolean {
  const [first, second] = [quantityOf(String(a)), quantityOf(String(b))];
  return first !== undefined && first === second;
}
