import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodReport, ReplicaReport } from '../domain/pod-service.ts';
import { below, seededRandom } from '../kernel/random.ts';
import { hasCode } from '../kernel/errors.ts';
import { seedOf } from '../../e2e/framework/seed.ts';
import { KnownReport, ReportHistory, type ReportChanges } from './report-changes.ts';

const replica = (shardUID: string, appliedSeq: number): ReplicaReport => ({
  collectionUID: 'c', shardUID, incarnation: 'i', role: 'backup', term: 1, lastSeq: appliedSeq, commitSeq: appliedSeq, appliedSeq, configVersion: 1, quarantined: false, blockedMs: 0, pointCount: 0,
});
const reportOf = (session: string, seqs: Readonly<Record<string, number>>): PodReport => ({ pod: 'p', podUID: 'u', session, freeBytes: 2 ** 30, replicas: Object.entries(seqs).map(([uid, seq]) => replica(uid, seq)) });
const sorted = ({ replicas, ...rest }: PodReport): PodReport => ({ ...rest, replicas: [...replicas].sort((a, b) => (a.shardUID < b.shardUID ? -1 : 1)) });

test('who knows all that is at rest is sent nothing', () => {
  const [history, known] = [new ReportHistory(), new KnownReport()];
  const first = history.changesSince(known.position, reportOf('s', { a: 1, b: 1 }));
  assert.equal(first.replicas.length, 2);
  known.take(first);
  const second = history.changesSince(known.position, reportOf('s', { a: 1, b: 1 }));
  assert.deepEqual(second.replicas, []);
  assert.deepEqual(known.take(second), reportOf('s', { a: 1, b: 1 }));
  const third = history.changesSince(known.position, reportOf('s', { a: 1, b: 2 }));
  assert.deepEqual(third.replicas.map(({ shardUID }) => shardUID), ['b']);
  assert.deepEqual(known.take(third), reportOf('s', { a: 1, b: 2 }));
});

test('a pod that knows nothing of versions is believed as it is', () => {
  const known = new KnownReport();
  for (const seqs of [{ a: 2, b: 1 }, { a: 1 }]) {
    const report = reportOf('s', seqs);
    assert.deepEqual(known.take({ ...report, since: 0, version: 0 }), report);
  }
});

test('what an earlier process had answered is not put onto a later one', () => {
  const [history, known] = [new ReportHistory(), new KnownReport()];
  known.take(history.changesSince(known.position, reportOf('s', { a: 1 })));
  const late = history.changesSince(known.position, reportOf('s', { a: 2 }));
  known.take(new ReportHistory().changesSince(known.position, reportOf('t', { b: 1 })));
  assert.throws(() => known.take(late), (error) => hasCode(error, 'UNAVAILABLE'));
});

test('whatever changes, comes, goes and restarts, each answer gives the report as it was then or later', (t) => {
  const random = seededRandom(seedOf(t).seed);
  for (let round = 0; round < 50; round++) {
    let [session, history] = [0, new ReportHistory()];
    const askers = [new KnownReport(), new KnownReport()];
    const states: PodReport[] = [];
    const under: { readonly asker: KnownReport; readonly changes: ReportChanges; readonly at: number }[] = [];
    let seqs: Record<string, number> = {};
    for (let step = 0; step < 200; step++) {
      const dice = random.fraction();
      const uid = 'abcdef'[below(random, 6)]!;
      if (dice < 0.3) seqs = { ...seqs, [uid]: (seqs[uid] ?? 0) + 1 };
      else if (dice < 0.4) seqs = Object.fromEntries(Object.entries(seqs).filter(([key]) => key !== uid));
      else if (dice < 0.43) {
        session++;
        history = new ReportHistory();
      } else if (dice < 0.7) {
        const asker = askers[below(random, 2)]!;
        const report = reportOf(`s${session}`, seqs);
        states.push(report);
        under.push({ asker, changes: history.changesSince(asker.position, report), at: states.length - 1 });
      } else if (under.length > 0) {
        const [{ asker, changes, at }] = under.splice(below(random, under.length), 1) as [(typeof under)[number]];
        try {
          const found = sorted(asker.take(changes));
          const isThenOrLater = states.slice(at).some((state) => JSON.stringify(sorted(state)) === JSON.stringify(found));
          assert.ok(isThenOrLater, JSON.stringify(found));
        } catch (error) {
          if (!hasCode(error, 'UNAVAILABLE')) throw error;
        }
      }
    }
  }
});
