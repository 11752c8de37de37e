/**
 * A parsed body in parts: the value with its large arrays emptied, then slices of these. Copying a value between threads
 * is work on the receiving event loop too, about as much as parsing it, so it has to come in steps.
 */

import { limits } from '../kernel/limits.ts';

export type Part = { readonly kind: 'whole'; readonly value: unknown } | { readonly kind: 'slice'; readonly key: string | undefined; readonly items: readonly unknown[] };

/** `bytes`: the length of the value's text. Only arrays at the top, and one level below, are cut. */
export function* splitValue(value: unknown, bytes: number): Generator<Part> {
  if (typeof value !== 'object' || value === null) return yield { kind: 'whole', value };
  const arrays: [string | undefined, readonly unknown[]][] = Array.isArray(value) ? [[undefined, value]] : Object.entries(value).filter((entry): entry is [string, unknown[]] => Array.isArray(entry[1]));
  const itemCount = arrays.reduce((total, [, items]) => total + items.length, 0);
  const sliceCount = Math.max(1, Math.floor((limits.parsePartBytes * itemCount) / bytes));
  yield { kind: 'whole', value: Array.isArray(value) ? [] : { ...value, ...Object.fromEntries(arrays.map(([key]) => [key, []])) } };
  for (const [key, items] of arrays) {
    for (let start = 0; start < items.length; start += sliceCount) yield { kind: 'slice', key, items: items.slice(start, start + sliceCount) };
  }
}

/** Puts one more part onto what the parts before it gave. */
export function addPart(value: unknown, part: Part): unknown {
  if (part.kind === 'whole') return part.value;
  const array = (part.key === undefined ? value : (value as Record<string, unknown>)[part.key]) as unknown[];
  for (const item of part.items) array.push(item);
  return value;
}
