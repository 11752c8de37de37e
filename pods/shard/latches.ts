/**
 * Per-key latches of a primary: a write holds those of its ids from before it reads their present state until its entry
 * is applied, so that conditions are decided on what is really there. Granted first come, first served; a request names
 * all its keys at once, so waiting never forms a circle.
 */

interface Holder {
  readonly done: Promise<void>;
  readonly finish: () => void;
}

export class Latches {
  readonly #holders = new Map<string, Holder>();

  /** Resolves to the function that gives the latches back. */
  async acquire(keys: readonly string[]): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const holder: Holder = { done: promise, finish: resolve };
    const predecessors = new Set<Holder>();
    for (const key of keys) {
      const predecessor = this.#holders.get(key);
      if (predecessor !== undefined && predecessor !== holder) predecessors.add(predecessor);
      this.#holders.set(key, holder);
    }
    const release = (): void => {
      for (const key of keys) if (this.#holders.get(key) === holder) this.#holders.delete(key);
      holder.finish();
    };
    for (const predecessor of predecessors) await predecessor.done;
    return release;
  }

  get heldCount(): number {
    return this.#holders.size;
  }
}
