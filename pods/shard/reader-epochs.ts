/**
 * Knows which reads are under way, so that what they may still look at is given back only after they ended: a freed
 * label is reused, and a point that reached the graph leaves the tail, when every read that began earlier has ended
 * (epoch-based reclamation; Fraser, "Practical lock-freedom", 2004).
 */

export class ReaderEpochs {
  #current = 1;
  /** Number of running reads by the epoch in which they began; ascending, because epochs only grow. */
  readonly #running = new Map<number, number>();
  readonly #waiting: { readonly epoch: number; readonly reclaim: () => void }[] = [];

  /** A read begins; the result is to be handed to `end`. */
  begin(): number {
    const epoch = this.#current;
    this.#running.set(epoch, (this.#running.get(epoch) ?? 0) + 1);
    return epoch;
  }

  end(epoch: number): void {
    const remaining = this.#running.get(epoch)! - 1;
    if (remaining > 0) this.#running.set(epoch, remaining);
    else {
      this.#running.delete(epoch);
      this.#reclaim();
    }
  }

  /** Calls `reclaim` once every read that has begun by now has ended; at once when there is none. */
  whenReadersEnded(reclaim: () => void): void {
    if (this.#running.size === 0) return reclaim();
    this.#waiting.push({ epoch: this.#current, reclaim });
    this.#current += 1;
  }

  get runningCount(): number {
    let count = 0;
    for (const running of this.#running.values()) count += running;
    return count;
  }

  #reclaim(): void {
    const oldest: number = this.#running.keys().next().value ?? Infinity;
    while (this.#waiting.length > 0 && this.#waiting[0]!.epoch < oldest) this.#waiting.shift()!.reclaim();
  }
}
