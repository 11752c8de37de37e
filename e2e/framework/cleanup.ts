/** Undoes what a test set up, the last first: node:test itself runs its hooks in the order in which they were given. */

/** Whoever sets things up and wants them gone in the end: a test, or a benchmark. */
export interface Owner {
  after(undo: () => Promise<void>): void;
  diagnostic(message: string): void;
  /** Known when the end has come. */
  readonly passed?: boolean;
}

const stacks = new WeakMap<Owner, (() => unknown)[]>();

export function atEnd(t: Owner, undo: () => unknown): void {
  let stack = stacks.get(t);
  if (stack === undefined) {
    const created: (() => unknown)[] = (stack = []);
    stacks.set(t, created);
    t.after(async () => {
      const errors: unknown[] = [];
      for (let last = created.pop(); last !== undefined; last = created.pop()) {
        try {
          await last();
        } catch (error) {
          errors.push(error);
        }
      }
      if (errors.length > 0) throw errors[0] as Error;
    });
  }
  stack.push(undo);
}
