/** Whom things belong to that last as long as a suite: they end when the last of its tests has. */

import { after } from 'node:test';
import type { Owner } from '../../framework/cleanup.ts';

/** To be called where a suite is described, since hooks cannot be added later. */
export function suiteOwner(): Owner {
  const undo: (() => Promise<void>)[] = [];
  after(async () => {
    for (const work of undo) await work();
  });
  return { after: (work) => undo.push(work), diagnostic: (message) => process.stderr.write(`${message}\n`) };
}
