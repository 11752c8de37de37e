/**
 * Aim: our checker of linearizability and porcupine, which shares no code with it, agree on random histories: some right
 * by construction, some of a store with a fault. A mistake in either would have to be made in the other as well.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../pods/kernel/random.ts';
import { checkRegister } from '../checker/linearizability.ts';
import { goIsThere, judgeWithPorcupine } from '../checker/porcupine.ts';
import { faults, randomHistory } from '../checker/random-history.fixture.ts';
import { countFrom, seedOf } from '../framework/seed.ts';

const historyCount = countFrom('SHOAL_HISTORIES', 100);

const go = await goIsThere();

/** Where everything has to be shown, Go has to be there; on a developer's machine its absence is said and passed over. */
const without = go ? false : 'NOT CHECKED: Go is not installed (Debian: apt-get install golang-go; 1.19 or newer)';

test('Go is there', { skip: process.env['CI'] === undefined && without }, () => {
  assert.equal(go, true, 'this suite needs Go 1.19 or newer');
});

test('both checkers agree on random histories', { skip: without }, async (t) => {
  const { seed } = seedOf(t);
  const histories = [undefined, ...faults].flatMap((fault) =>
    Array.from({ length: historyCount }, (_, i) => {
      const id = `${fault ?? 'no fault'}, seed ${(seed + i) % 2 ** 32}`;
      const { operations } = randomHistory(seededRandom((seed + i) % 2 ** 32), id, fault);
      return { id, operations };
    }),
  );
  const theirs = await judgeWithPorcupine(histories.flatMap(({ operations }) => operations));
  const ours = histories.map(({ id, operations }) => ({ id, verdict: checkRegister(operations).kind }));
  const illegal = ours.filter(({ verdict }) => verdict === 'violation').map(({ id }) => id);
  t.diagnostic(`${theirs.ids} histories of ${theirs.operations} operations: ${theirs.ok} linearizable, ${theirs.illegal.length} not`);
  assert.deepEqual(ours.filter(({ verdict }) => verdict === 'undecided'), []);
  assert.deepEqual({ ids: theirs.ids, illegal: theirs.illegal, undecided: theirs.undecided }, { ids: histories.length, illegal: illegal.sort(), undecided: [] });
  assert(theirs.ok > historyCount && theirs.illegal.length > historyCount, 'there are histories of both kinds');
});
