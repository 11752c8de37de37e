/** Whom things belong to that last as long as a suite: they end, newest first, when the last of its tests has. */

import { after } from 'node:test';
import type { Owner } from '../../framework/cleanup.ts';

/** To be called where a suite is described. */
export function suiteOwner(): Owner {
  const undo: (() => unknown)[] = [];
  after(async () => {
    for (const work of undo.reverse()) await work();
  });
  return { after: (work) => undo.push(work as () => unknown), diagnostic: (message) => process.stderr.write(`${message}\n`) };
}
