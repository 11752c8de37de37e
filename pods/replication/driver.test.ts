/** What the driver decides by the clock: who is slow, what is missing, what is stuck. The log is real, its syncs can be held. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import type { FileHandle, FileSystem } from '../kernel/file-system.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import { memoryDisk, openLog } from '../log/log.fixture.ts';
import type { ReplicaLog } from '../log/log.ts';
import type { Authority } from './authority.ts';
import { authorityOf, memberOf } from './core.fixture.ts';
import { ReplicationDriver } from './driver.ts';
import type { Address, Message, MessageBody } from './messages.ts';

const silent: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, child: () => silent };
const addressOf = (pod: string, incarnation = `${pod}1`): Address => ({ pod, incarnation, session: `s-${incarnation}` });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Replica `a` under its driver; the test plays the others and the store of records. */
class Driven {
  readonly clock = new SimulatedClock();
  readonly sent: Message[] = [];
  readonly swaps: (readonly string[])[] = [];
  readonly driver: ReplicationDriver;
  readonly log: ReplicaLog;
  readonly hold: (held: boolean) => void;
  stored: Authority;
  read = (): Promise<Authority> => Promise.resolve(this.stored);
  /** Pods whose replicas answer all but entries. */
  readonly answering = new Set<string>();

  static async open(authority: Authority, queueRecordCountMax = 1_000): Promise<Driven> {
    let release = (): void => undefined;
    let held: Promise<void> | undefined;
    const log = await openLog(heldSyncs(memoryDisk(), () => held), { bounds: { queueRecordCountMax } });
    const hold = (holds: boolean): void => {
      release();
      held = holds ? new Promise((resolve) => (release = resolve)) : undefined;
    };
    return new Driven(authority, log.replica(1), hold);
  }

  private constructor(authority: Authority, log: ReplicaLog, hold: (held: boolean) => void) {
    this.stored = { ...authority, primary: addressOf(authority.primary.pod) };
    this.log = log;
    this.hold = hold;
    this.driver = new ReplicationDriver({
      collectionUID: 'collection',
      shardUID: 'shard',
      self: addressOf('a'),
      log,
      commitSeq: 0,
      appliedSeq: 0,
      term: 0,
      transport: { send: (message) => void this.sent.push(message), queuedBytes: () => 0 },
      authorityStore: {
        read: () => this.read(),
        compareAndSwap: ({ inSync, configVersion }) => {
          this.swaps.push(inSync!.map(({ incarnation }) => incarnation));
          this.change({ inSync: inSync!, configVersion });
          return Promise.resolve(this.stored);
        },
      },
      clock: this.clock,
      logger: silent,
      noOpPayload: new Uint8Array(),
      events: { committed: () => undefined, steppedDown: () => undefined, refused: () => undefined, takeSnapshotFrom: () => undefined, failed: (error) => assert.fail(error) },
    });
  }

  change(change: Partial<Authority>): void {
    this.stored = { ...this.stored, ...change, resourceVersion: `${Number(this.stored.resourceVersion) + 1}` };
  }

  say(from: Address, body: MessageBody, term = this.driver.state.term): void {
    this.driver.receive({ collectionUID: 'collection', shardUID: 'shard', term, from, to: addressOf('a'), body });
  }

  /** Answers every fence as a replica that has nothing, and every append with what it had. */
  answer(from: Address, durableSeq = 0): void {
    const runs = durableSeq === 0 ? [] : [{ term: this.driver.state.term, firstSeq: 1, lastSeq: durableSeq }];
    for (const { to, body } of this.sent.splice(0).filter(({ to: { pod } }) => pod === from.pod)) {
      if (body.kind === 'fence') this.say(from, { kind: 'report', number: body.number, runs, lastSeq: durableSeq, commitSeq: 0, appliedSeq: 0 });
      if (body.kind === 'append' && to.session === from.session) this.say(from, { kind: 'stored', throughSeq: durableSeq, appliedSeq: 0 });
    }
  }

  async pass(ms: number, each: () => void = () => undefined): Promise<void> {
    for (let passed = 0; passed < ms; passed += 250) {
      this.clock.advance(250);
      this.driver.tick();
      each();
      await turn();
    }
  }
}

/** The file system, but its handles' syncs wait as long as `held` says. */
function heldSyncs(disk: FileSystem, held: () => Promise<void> | undefined): FileSystem {
  const bound = (target: object, name: PropertyKey): unknown => {
    const value: unknown = Reflect.get(target, name);
    return typeof value === 'function' ? (value.bind(target) as unknown) : value;
  };
  const slow = (handle: FileHandle): FileHandle =>
    new Proxy(handle, {
      get: (target, name) => (name === 'sync' ? async () => (await held(), target.sync()) : bound(target, name)),
    });
  return new Proxy(disk, {
    get: (target, name) => (name === 'open' ? async (...given: Parameters<FileSystem['open']>) => slow(await target.open(...given)) : bound(target, name)),
  });
}

test('W4: a member that answers but stores nothing is taken out of inSync, however often it is sent its entries again', async () => {
  const a = await Driven.open(authorityOf('a', { term: 1, minInSync: 1, replicas: ['a', 'b'], inSync: [memberOf('a'), memberOf('b')] }));
  a.driver.authorityChanged(a.stored);
  await turn();
  await a.pass(limits.memberSlowMs - 1_000, () => a.answer(addressOf('b')));
  assert.deepEqual([a.swaps, a.driver.state.commitSeq], [[], 0]);
  await a.pass(2_000, () => a.answer(addressOf('b')));
  assert.deepEqual([a.swaps, a.driver.state.commitSeq], [[['a1']], 1]);
});

test('W5: what was missing is not any more once writes need not wait for it', async () => {
  const a = await Driven.open(authorityOf('a', { term: 1, minInSync: 2, replicas: ['a', 'b'], inSync: [memberOf('a'), memberOf('b')] }));
  a.driver.authorityChanged(a.stored);
  await turn();
  await a.pass(limits.memberSuspectMs + 500);
  assert.throws(() => a.driver.propose(new Uint8Array()), { code: 'NOT_ENOUGH_IN_SYNC' });
  // Between two looks at the clock another has joined, and the one that is missing has left.
  a.change({ inSync: [memberOf('a'), memberOf('c')], configVersion: 3, replicas: ['a', 'c'] });
  a.driver.authorityChanged(a.stored);
  await turn();
  assert.equal(a.driver.propose(new Uint8Array()).seq, 2);
});

test('A1: a joiner that takes the place of an incarnation on its pod is given up when it is replaced itself', async () => {
  const a = await Driven.open(authorityOf('a', { term: 1, minInSync: 2, replicas: ['a', 'b'], inSync: [memberOf('a'), memberOf('b')] }));
  a.driver.authorityChanged(a.stored);
  await turn();
  await a.pass(500, () => a.answer(addressOf('b', 'b2')));
  await a.pass(2_000, () => a.answer(addressOf('b', 'b3'), 1));
  await a.pass(2_000, () => {
    if (a.swaps.length === 0) a.say(addressOf('b', 'b3'), { kind: 'hello' });
    a.answer(addressOf('b', 'b3'), 1);
  });
  assert.deepEqual([a.swaps, a.driver.state.commitSeq], [[['a1', 'b3']], 1]);
});

test('S1: a stop that nothing came of ends after a while; F3: also while the store of records is away', async () => {
  for (const isStoreAway of [false, true]) {
    const a = await Driven.open(authorityOf('a', { term: 1, minInSync: 1, replicas: ['a'], inSync: [memberOf('a')] }));
    a.driver.authorityChanged(a.stored);
    await a.pass(250);
    assert.deepEqual(await a.driver.stopWrites(new AbortController().signal), { term: 1, lastSeq: 1 });
    if (isStoreAway) a.read = () => Promise.reject(new ShoalError('UNAVAILABLE', 'it is away'));
    await a.pass(limits.handoverMsMax - 250);
    assert.throws(() => a.driver.propose(new Uint8Array()), { code: 'NOT_PRIMARY' });
    await a.pass(500);
    assert.equal(a.driver.propose(new Uint8Array()).seq, 2, isStoreAway ? 'the store is away' : 'the store answers');
  }
});

test('S1: a stop is not ended by the end of an earlier one', async () => {
  const a = await Driven.open(authorityOf('a', { term: 1, minInSync: 1, replicas: ['a'], inSync: [memberOf('a')] }));
  a.driver.authorityChanged(a.stored);
  await a.pass(250);
  await a.driver.stopWrites(new AbortController().signal);
  const late = Promise.withResolvers<Authority>();
  a.read = () => late.promise;
  await a.pass(limits.handoverMsMax + 250);
  await a.driver.stopWrites(new AbortController().signal);
  late.resolve(a.stored);
  await a.pass(500);
  assert.throws(() => a.driver.propose(new Uint8Array()), { code: 'NOT_PRIMARY' });
});

test('a primary whose disk does not get on says how long', async () => {
  const a = await Driven.open(authorityOf('a', { term: 1, minInSync: 1, replicas: ['a'], inSync: [memberOf('a')] }));
  a.hold(true);
  a.driver.authorityChanged(a.stored);
  await a.pass(3_000);
  assert.deepEqual([a.driver.blockedMs, a.driver.state.commitSeq], [3_000, 0]);
  a.hold(false);
  await a.pass(500);
  assert.deepEqual([a.driver.blockedMs, a.driver.state.commitSeq], [0, 1]);
});

test('a crowded log refuses entries before they are assigned, and the term goes on', async () => {
  const a = await Driven.open(authorityOf('a', { term: 1, minInSync: 1, replicas: ['a'], inSync: [memberOf('a')] }), 8);
  a.driver.authorityChanged(a.stored);
  await a.pass(250);
  a.hold(true);
  const proposed: (number | string)[] = [];
  for (let count = 0; count < 7; count++) {
    try {
      proposed.push(a.driver.propose(new Uint8Array()).seq);
    } catch (error) {
      proposed.push((error as { code: string }).code);
    }
  }
  a.hold(false);
  await a.pass(500);
  assert.deepEqual([proposed, a.driver.state.role.kind, a.driver.state.commitSeq], [[2, 3, 4, 5, 6, 'OVERLOADED', 'OVERLOADED'], 'primary', 6]);
});

test('W2: an entry that is about to be replaced on the disk is not durable, though the same comes back behind that', async () => {
  const a = await Driven.open(authorityOf('b', { term: 1 }));
  const entriesOf = (term: number, ...seqs: number[]): MessageBody & { kind: 'append' } => ({
    kind: 'append',
    prevSeq: seqs[0]! - 1,
    prevTerm: seqs[0] === 1 ? 0 : 1,
    entries: seqs.map((seq) => ({ seq, term, payload: new Uint8Array() })),
    commitSeq: 0,
  });
  a.hold(true);
  a.say(addressOf('b'), entriesOf(1, 1, 2), 1);
  await turn();
  a.say(addressOf('c'), entriesOf(2, 2), 2);
  a.say(addressOf('d'), entriesOf(1, 2), 3);
  // What the first leader sent reaches the disk; what the others sent is held up again.
  a.hold(true);
  await turn();
  await turn();
  const { lastSeq, durableSeq } = a.driver.state;
  a.hold(false);
  for (let i = 0; i < 20; i++) await turn();
  assert.deepEqual([lastSeq, durableSeq, a.driver.state.durableSeq], [2, 1, 2]);
});
