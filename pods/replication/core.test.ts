import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MutationName } from '../kernel/mutations.ts';
import { authorityOf, memberOf, Replica, Replicas } from './core.fixture.ts';
import { addressOf, isLeading, maximalInSync } from './primary-role.ts';

const grantTo = (pod: string, overrides = {}) => ({ kind: 'authority', source: 'read', authority: authorityOf(pod, overrides) }) as const;
const propose = { kind: 'propose', entryCount: 1 } as const;
const because = (replica: Replica): string[] => replica.lines.map((line) => line.slice(replica.pod.length + 1));

/** Three replicas that agree on two entries, and `a` leads in term 3 with its no-op committed. */
function threeReplicas(): { a: Replica; b: Replica; c: Replica; all: Replicas } {
  const [a, b, c] = ['a', 'b', 'c'].map((pod) => new Replica(pod, [2, 2], { commitSeq: 2 })) as [Replica, Replica, Replica];
  const all = new Replicas(a, b, c);
  a.do(grantTo('a'));
  all.settle();
  for (const replica of all.all) replica.lines.length = 0;
  return { a, b, c, all };
}

test('W0: it leads only in a newer term that was granted to this session', () => {
  const a = new Replica('a', [2, 2]);
  a.do(grantTo('a', { term: 2 }));
  a.do(grantTo('a', { primary: { ...memberOf('a'), session: 'an earlier one' } }));
  a.do(propose);
  assert.deepEqual(because(a), ['authority: W0: term 2 is not newer than 2', 'authority: W0: the term was granted to another session', 'propose: W0: not the primary']);
});

test('W0: a message for another incarnation, session or shard is dropped', () => {
  const { a, b } = threeReplicas();
  a.do(propose);
  a.pump();
  const sent = a.outbox.find((message) => message.to.pod === 'b')!;
  for (const wrong of [{ to: { ...sent.to, session: 'x' } }, { to: { ...sent.to, incarnation: 'x' } }, { shardUID: 'x' }, { collectionUID: 'x' }]) {
    b.do({ kind: 'message', message: { ...sent, ...wrong } });
  }
  assert.deepEqual([b.state.lastSeq, because(b).filter((line) => !line.includes('W0: '))], [3, []]);
});

test('W1, W3: assigned in order, committed when every member of maximalInSync has it on its disk', () => {
  const { a, b, c, all } = threeReplicas();
  a.do(propose);
  a.do(propose);
  a.sync();
  all.cut.add('c');
  all.settle();
  assert.deepEqual([a.state.lastSeq, a.state.commitSeq, b.state.durableSeq, b.state.commitSeq], [5, 3, 5, 3]);
  all.cut.clear();
  all.settle();
  assert.deepEqual([a.state.commitSeq, b.state.commitSeq, c.state.commitSeq], [5, 5, 5]);
  assert.deepEqual(a.terms, [2, 2, 3, 3, 3]);
});

test('W2: an entry that does not follow what is there is refused, and answered by what is there', () => {
  const { a, b, all } = threeReplicas();
  assert(isLeading(a.state));
  const to = addressOf(a.state.role.others.find((other) => other.pod === 'b')!);
  const entries = [{ seq: 6, term: 3, payload: new Uint8Array() }];
  all.deliver({ collectionUID: 'collection', shardUID: 'shard', term: 3, from: a.state.self, to, body: { kind: 'append', prevSeq: 5, prevTerm: 3, entries, commitSeq: 3 } });
  assert.deepEqual([b.state.lastSeq, b.outbox.map(({ body }) => body.kind)], [3, ['report']]);
});

test('W2: a higher term is durable before it is answered', () => {
  const b = new Replica('b', [2, 2], { commitSeq: 2 });
  const fence = { collectionUID: 'collection', shardUID: 'shard', term: 7, from: { ...memberOf('a'), session: 's-a' }, to: { pod: 'b', incarnation: '', session: '' }, body: { kind: 'fence', number: 1, configVersion: 1 } } as const;
  b.do({ kind: 'message', message: fence });
  assert.equal(b.outbox.length, 0);
  b.sync();
  assert.deepEqual(b.outbox.map(({ body, term }) => [body.kind, term]), [['report', 7]]);
});

test('W2: an older term is answered by the newer one, and its primary steps down with its writes unknown', () => {
  const { a, b, all } = threeReplicas();
  b.do(grantTo('b', { term: 4 }));
  b.sync();
  b.outbox.length = 0;
  a.do(propose);
  all.settle(1);
  assert.deepEqual([b.lines.includes('b append: W2: term 3 is older than 4'), a.lines.includes('a outdated: W0: b knows term 4'), a.state.role.kind], [true, true, 'waiting']);
  assert.deepEqual(a.metadata, [{ kind: 'read' }]);
});

test('W4, W5: a silent member is removed by a confirmed compare-and-swap, never below minInSync', () => {
  const { a, all } = threeReplicas();
  all.cut.add('c');
  a.do(propose);
  all.settle();
  a.do({ kind: 'suspect', member: memberOf('c'), because: 'silent' });
  assert.deepEqual(a.metadata.splice(0), [{ kind: 'cas', resourceVersion: '10', inSync: [memberOf('a'), memberOf('b')], configVersion: 2 }]);
  assert.equal(a.state.commitSeq, 3);
  a.do({ kind: 'cas-confirmed', authority: authorityOf('a', { inSync: [memberOf('a'), memberOf('b')], configVersion: 2, resourceVersion: '11' }) });
  assert.equal(a.state.commitSeq, 4);
  a.do({ kind: 'suspect', member: memberOf('b'), because: 'silent' });
  assert.deepEqual([a.metadata, a.lines.at(-1)], [[], 'a suspect: W5: b cannot be removed']);
});

test('W4: what nobody knows is read again; a moved term ends the primary', () => {
  const { a } = threeReplicas();
  a.do({ kind: 'suspect', member: memberOf('c'), because: 'silent' });
  a.do({ kind: 'cas-ambiguous' });
  assert.deepEqual(a.metadata, [{ kind: 'cas', resourceVersion: '10', inSync: [memberOf('a'), memberOf('b')], configVersion: 2 }, { kind: 'read' }]);
  const output = a.do(grantTo('b', { term: 4, resourceVersion: '12' }));
  assert.deepEqual([output.steppedDown, output.state.role.kind], [true, 'waiting']);
});

test('W5: with too few in sync nothing is assigned', () => {
  const a = new Replica('a', [2, 2], { commitSeq: 2 });
  a.do(grantTo('a', { inSync: [memberOf('a')] }));
  a.sync();
  a.do(propose);
  assert.deepEqual([a.state.commitSeq, a.lines.at(-1)], [2, 'a propose: W5: 1 in sync, 2 needed']);
});

/** `a` leads with `b` in sync; `c` joins and has been entered, and the add is on its way. */
function joining(mutations: readonly MutationName[] = []): { a: Replica; c: Replica; all: Replicas } {
  const a = new Replica('a', [2, 2], { commitSeq: 2, mutations });
  const b = new Replica('b', [2, 2], { commitSeq: 2 });
  const c = new Replica('c', []);
  const all = new Replicas(a, b, c);
  a.do(grantTo('a', { inSync: [memberOf('a'), memberOf('b')] }));
  all.settle();
  return { a, c, all };
}

test('A1: a joiner enters maximalInSync first, and is announced when it has all that was assigned by then', () => {
  const { a, c } = joining();
  assert.deepEqual(c.terms, [2, 2, 3]);
  assert(isLeading(a.state));
  assert.deepEqual(maximalInSync(a.state.role).map(({ pod }) => pod), ['a', 'b', 'c']);
  assert.deepEqual(a.metadata, [{ kind: 'cas', resourceVersion: '10', inSync: ['a', 'b', 'c'].map(memberOf), configVersion: 2 }]);
});

test('A1: a cancelled add leaves maximalInSync only when a newer version without it was read or written', () => {
  const cancelled = (mutations?: readonly MutationName[]): Replica => {
    const { a, all } = joining(mutations);
    all.cut.add('c');
    a.do({ kind: 'suspect', member: memberOf('c'), because: 'silent' });
    a.do({ kind: 'cas-ambiguous' });
    a.metadata.length = 0;
    a.do(grantTo('a', { inSync: [memberOf('a'), memberOf('b')] }));
    return a;
  };
  const waitsForC = ({ state }: Replica): boolean => isLeading(state) && maximalInSync(state.role).length === 3;
  const a = cancelled();
  assert.deepEqual([waitsForC(a), a.metadata], [true, [{ kind: 'cas', resourceVersion: '10', configVersion: 1 }]]);
  a.do({ kind: 'cas-confirmed', authority: authorityOf('a', { inSync: [memberOf('a'), memberOf('b')], resourceVersion: '11' }) });
  assert.equal(waitsForC(a), false);
  assert.equal(waitsForC(cancelled(['add-cancelled-on-same-version'])), false, 'the mutation is seen');
});

test('A1: a joiner that has applied what the primary does not have needs a snapshot', () => {
  const a = new Replica('a', [2, 2], { commitSeq: 2 });
  const c = new Replica('c', [2, 1, 1].toSorted(), { commitSeq: 3 });
  const all = new Replicas(a, c);
  a.do(grantTo('a', { inSync: [memberOf('a')], minInSync: 1 }));
  all.settle();
  assert(isLeading(a.state));
  assert.equal(a.state.role.others.find(({ pod }) => pod === 'c')!.phase, 'needs-snapshot');
});

test('A2: a member that shall leave is taken out of inSync, and not added again', () => {
  const { a } = threeReplicas();
  a.do(grantTo('a', { leaving: ['c'], resourceVersion: '11' }));
  assert.deepEqual(a.metadata, [{ kind: 'cas', resourceVersion: '11', inSync: [memberOf('a'), memberOf('b')], configVersion: 2 }]);
  a.do({ kind: 'cas-confirmed', authority: authorityOf('a', { leaving: ['c'], inSync: [memberOf('a'), memberOf('b')], configVersion: 2, resourceVersion: '12' }) });
  assert.equal(a.metadata.length, 1);
});

test('P2: a term begins with a no-op, through which what was left over is committed', () => {
  const b = new Replica('b', [2, 2, 2, 2], { commitSeq: 2 });
  const c = new Replica('c', [2, 2, 2], { commitSeq: 1 });
  const all = new Replicas(b, c);
  b.do(grantTo('b', { inSync: [memberOf('b'), memberOf('c')], replicas: ['b', 'c'] }));
  assert.equal(b.state.commitSeq, 2);
  all.settle();
  assert.deepEqual([b.terms, b.state.commitSeq, c.terms, c.state.commitSeq], [[2, 2, 2, 2, 3], 5, [2, 2, 2, 2, 3], 5]);
});

test('P3: a suffix goes only where the primary has another term, or above its no-op; a higher term alone drops nothing', () => {
  const b = new Replica('b', [2, 2, 2], { commitSeq: 2 });
  const c = new Replica('c', [1, 1, 2, 2, 2, 2].map((term, i) => (i < 2 ? 2 : term)), { commitSeq: 2 });
  const all = new Replicas(b, c);
  b.do(grantTo('b', { inSync: [memberOf('b'), memberOf('c')], replicas: ['b', 'c'] }));
  for (const sent of b.outbox.splice(0)) all.deliver(sent);
  c.sync();
  assert.equal(c.state.lastSeq, 6);
  all.settle();
  assert.deepEqual([b.terms, c.terms], [[2, 2, 2, 3], [2, 2, 2, 3]]);
});

test('R1: a round is complete when every member of maximalInSync has answered it', () => {
  const { a, b, c, all } = threeReplicas();
  assert.equal(a.do({ kind: 'read-round' }).roundComplete, undefined);
  const checks = a.outbox.splice(0);
  assert.deepEqual(checks.map(({ to, body }) => [to.pod, body.kind]), [['b', 'check'], ['c', 'check']]);
  all.deliver(checks[0]!);
  const complete = (from: Replica): unknown => a.do({ kind: 'message', message: from.outbox.splice(0)[0]! }).roundComplete;
  assert.equal(complete(b), undefined);
  all.deliver(checks[1]!);
  assert.equal(complete(c), 1);
});

test('R1: a joiner whose add may have landed is asked too, as it may be promoted already', () => {
  const asked = (mutations?: readonly MutationName[]): string[] => {
    const { a } = joining(mutations);
    a.outbox.length = 0;
    a.do({ kind: 'read-round' });
    return a.outbox.map(({ to }) => to.pod);
  };
  assert.deepEqual(asked(), ['b', 'c']);
  assert.deepEqual(asked(['read-round-over-in-sync-only']), ['b'], 'the mutation is seen');
});

test('R1: a question that was lost is asked again, of those alone who have not answered', () => {
  const { a, b, all } = threeReplicas();
  a.do({ kind: 'read-round' });
  const [toB] = a.outbox.splice(0);
  all.deliver(toB!);
  a.do({ kind: 'message', message: b.outbox.splice(0)[0]! });
  a.do({ kind: 'check-again' });
  assert.deepEqual(a.outbox.map(({ to, body }) => [to.pod, body]), [['c', { kind: 'check', round: 1 }]]);
});

test('S1: writes stop, and begin again', () => {
  const { a } = threeReplicas();
  a.do({ kind: 'stop-writes' });
  assert.equal(a.do(propose).append, undefined);
  a.do({ kind: 'resume-writes' });
  assert.deepEqual(a.do(propose).append, { term: 3, firstSeq: 4, entryCount: 1 });
});

test('a log that refuses entries ends the term at once: none of its seqs is given twice', () => {
  const { a, all } = threeReplicas();
  a.do(propose);
  const output = a.do({ kind: 'step-down', lastSeq: 3, because: 'the disk is full' });
  assert.deepEqual([output.steppedDown, a.terms], [true, [2, 2, 3]]);
  a.do(grantTo('a'));
  assert.equal(a.state.role.kind, 'waiting');
  a.do(grantTo('a', { term: 4 }));
  all.settle();
  assert.deepEqual(a.terms, [2, 2, 3, 4]);
});

test('W4: what was read before a change was confirmed does not undo it', () => {
  const { a } = threeReplicas();
  a.do({ kind: 'suspect', member: memberOf('c'), because: 'silent' });
  a.do({ kind: 'cas-confirmed', authority: authorityOf('a', { inSync: [memberOf('a'), memberOf('b')], configVersion: 2, resourceVersion: '11' }) });
  a.do(grantTo('a'));
  assert(isLeading(a.state));
  assert.equal(a.state.role.authority.configVersion, 2);
});

test('W2: a term that a full disk refused is made durable when its primary speaks again', () => {
  const b = new Replica('b', [2, 2], { commitSeq: 2 });
  const fence = { collectionUID: 'collection', shardUID: 'shard', term: 7, from: { ...memberOf('a'), session: 's-a' }, to: { pod: 'b', incarnation: '', session: '' }, body: { kind: 'fence', number: 1, configVersion: 1 } } as const;
  assert.equal(b.do({ kind: 'message', message: fence }).adoptTerm, 7);
  b.do({ kind: 'step-down', lastSeq: 2, because: 'the disk is full' });
  assert.equal(b.do({ kind: 'message', message: fence }).adoptTerm, 7);
});

test('W4: a backup that ends in order is taken out of inSync without being waited for', () => {
  const { a, b, all } = threeReplicas();
  b.do({ kind: 'leave' });
  for (const sent of b.outbox.splice(0)) all.deliver(sent);
  assert.deepEqual(a.metadata, [{ kind: 'cas', resourceVersion: '10', inSync: [memberOf('a'), memberOf('c')], configVersion: 2 }]);
});

test('A1: a joiner whose pod shall have no replica any more is not waited for', () => {
  const unwanted = { inSync: [memberOf('a'), memberOf('b')], replicas: ['a', 'b'], resourceVersion: '12' };
  for (const phase of ['entered', 'sent'] as const) {
    const [a, b, c] = [new Replica('a', [2, 2], { commitSeq: 2 }), new Replica('b', [2, 2], { commitSeq: 2 }), new Replica('c', [])];
    const all = new Replicas(a, b, c);
    a.do(grantTo('a', { inSync: unwanted.inSync }));
    if (phase === 'sent') all.settle();
    // The fences, and what they say.
    else for (const replica of all.all) for (const sent of [replica.sync(), ...replica.outbox.splice(0)]) if (sent !== undefined) all.deliver(sent);
    assert(isLeading(a.state));
    assert.equal(a.state.role.change?.phase, phase);
    if (phase === 'sent') a.do({ kind: 'cas-ambiguous' });
    a.do(grantTo('a', unwanted));
    a.do(propose);
    all.settle();
    assert.deepEqual([a.state.lastSeq, a.state.commitSeq], [4, 4], phase);
  }
});

test('A1: a member that failed joins again once it has stored more, not as soon as it answers', () => {
  const { a, b, c, all } = threeReplicas();
  a.do(propose);
  a.do(propose);
  a.sync();
  a.pump();
  for (const sent of a.outbox.splice(0)) all.deliver(sent);
  b.sync();
  for (const sent of b.outbox.splice(0)) all.deliver(sent);
  a.do({ kind: 'suspect', member: memberOf('c'), because: 'it stores nothing' });
  a.do({ kind: 'cas-confirmed', authority: authorityOf('a', { inSync: [memberOf('a'), memberOf('b')], configVersion: 2, resourceVersion: '11' }) });
  const ask = (): void => {
    for (const sent of [...a.outbox.splice(0), ...c.outbox.splice(0)]) all.deliver(sent);
    for (const sent of c.outbox.splice(0)) all.deliver(sent);
  };
  ask();
  assert(isLeading(a.state));
  assert.deepEqual([a.state.role.others.find(({ pod }) => pod === 'c')!.phase, a.state.role.change], ['matched', undefined]);
  c.sync();
  ask();
  assert.deepEqual(isLeading(a.state) && a.state.role.change?.add, memberOf('c'));
});

test('W4: what was read while a compare-and-swap was under way is read again after its answer, which may be older', () => {
  const { a } = threeReplicas();
  a.do({ kind: 'suspect', member: memberOf('c'), because: 'silent' });
  a.metadata.length = 0;
  const inSync = [memberOf('a'), memberOf('b')];
  a.do(grantTo('a', { inSync, configVersion: 2, replicas: ['a', 'b', 'c', 'd'], resourceVersion: '12' }));
  a.do({ kind: 'cas-confirmed', authority: authorityOf('a', { inSync, configVersion: 2, resourceVersion: '11' }) });
  assert.deepEqual(a.metadata, [{ kind: 'read' }]);
});
