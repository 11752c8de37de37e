/** What was acknowledged of each point, where one write of a point is under way at a time: what a read may show, and what is lost. */

export class WriteLedger {
  /** Points that have been acknowledged, the oldest first. */
  readonly ids: string[] = [];
  readonly #acknowledged = new Map<string, number>();
  /** With a write under way, or one that nobody knows the end of. */
  readonly #open = new Set<string>();

  /** Numbers of one point grow. */
  begin(id: string): void {
    this.#open.add(id);
  }

  acknowledge(id: string, number: number): void {
    this.#open.delete(id);
    if (!this.#acknowledged.has(id)) this.ids.push(id);
    this.#acknowledged.set(id, number);
  }

  isOpen(id: string): boolean {
    return this.#open.has(id);
  }

  /** What a read that begins now has to show, or something newer. */
  acknowledged(id: string): number | undefined {
    return this.#acknowledged.get(id);
  }

  /** A sentence for each point that is not as it was acknowledged. */
  lost(found: ReadonlyMap<string, number>): readonly string[] {
    return [...this.#acknowledged].flatMap(([id, number]) => {
      const there = found.get(id);
      const isRight = this.#open.has(id) ? there !== undefined && there >= number : there === number;
      return isRight ? [] : [`${id}: ${number} was acknowledged, ${there ?? 'nothing'} is there`];
    });
  }
}
