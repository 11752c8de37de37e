/**
 * The sets that a shard's latest filters gave, as long as no payload changes: an application asks with few filters (a
 * tenant, a language), and finding half of a million labels takes milliseconds of the event loop.
 */

import type { Filter } from '../domain/filter.ts';
import { LabelBits } from '../domain/label-set.ts';
import { limits } from '../kernel/limits.ts';

export class FilterCache {
  /** By the filter's JSON, the latest used last. */
  readonly #sets = new Map<string, LabelBits>();

  /** A set for the caller to change. */
  get(filter: Filter): LabelBits | undefined {
    if (this.#sets.size === 0) return undefined;
    const key = JSON.stringify(filter);
    const set = this.#sets.get(key);
    if (set === undefined) return undefined;
    this.#sets.delete(key);
    this.#sets.set(key, set);
    return LabelBits.copyOf(set);
  }

  put(filter: Filter, set: LabelBits): void {
    const key = JSON.stringify(filter);
    if (key.length > limits.cachedFilterLengthMax) return;
    this.#sets.set(key, LabelBits.copyOf(set));
    for (const oldest of this.#sets.keys()) {
      if (this.#sets.size <= limits.cachedFilterCount) return;
      this.#sets.delete(oldest);
    }
  }

  /** To be called at each change of what a filter may find. */
  clear(): void {
    if (this.#sets.size > 0) this.#sets.clear();
  }

  memoryBytes(): number {
    let total = 0;
    for (const [key, { words }] of this.#sets) total += key.length * 2 + words.byteLength;
    return total;
  }
}
