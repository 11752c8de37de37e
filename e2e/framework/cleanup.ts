/** Undoes what a test set up, the last first: node:test itself runs its hooks in the order in which they were given. */

import type { TestContext } from 'node:test';

const stacks = new WeakMap<TestContext, (() => unknown)[]>();

export function atEnd(t: TestContext, undo: () => unknown): void {
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
