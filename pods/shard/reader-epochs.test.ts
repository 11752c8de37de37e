import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ReaderEpochs } from './reader-epochs.ts';

test('reclaims when the reads that had begun have ended, in order, whatever began later', () => {
  const epochs = new ReaderEpochs();
  const reclaimed: string[] = [];
  const later = (name: string): void => epochs.whenReadersEnded(() => void reclaimed.push(name));
  later('nobody reads');
  assert.deepEqual(reclaimed, ['nobody reads']);
  const first = epochs.begin();
  later('after first');
  const second = epochs.begin();
  later('after second');
  const third = epochs.begin();
  epochs.end(second);
  assert.deepEqual(reclaimed, ['nobody reads']);
  epochs.end(first);
  assert.deepEqual(reclaimed, ['nobody reads', 'after first', 'after second']);
  epochs.end(third);
  assert.equal(epochs.runningCount, 0);
});

test('by any order: never before a read that began earlier has ended, always once all have', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 9 }), { maxLength: 60 }), (steps) => {
      const epochs = new ReaderEpochs();
      /** Epochs of the running reads, by a number of their own. */
      const running = new Map<number, number>();
      let nextRead = 0;
      let pendingCount = 0;
      for (const step of steps) {
        if (step < 4) running.set(nextRead++, epochs.begin());
        else if (step < 8 && running.size > 0) {
          const [read, epoch] = [...running][step % running.size]!;
          running.delete(read);
          epochs.end(epoch);
        } else {
          const blockers = [...running.keys()];
          pendingCount++;
          epochs.whenReadersEnded(() => {
            pendingCount--;
            for (const blocker of blockers) assert(!running.has(blocker), 'an earlier read still runs');
          });
        }
      }
      for (const [read, epoch] of [...running]) {
        running.delete(read);
        epochs.end(epoch);
      }
      assert.equal(pendingCount, 0);
    }),
  );
});
