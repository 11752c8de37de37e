/** Work over many bytes in slices, with other callbacks of the event loop in between. */

import { setImmediate as nextTurn } from 'node:timers/promises';

/** A multiple of four, so that words stay whole; about a millisecond of masking and checksums. */
const sliceBytes = 1024 * 1024;

export async function inSlices(from: number, end: number, work: (from: number, end: number) => void): Promise<void> {
  for (let start = from; start < end; start += sliceBytes) {
    if (start > from) await nextTurn();
    work(start, Math.min(start + sliceBytes, end));
  }
}
