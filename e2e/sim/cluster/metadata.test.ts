import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as realSleep } from 'node:timers/promises';
import { hasCode } from '../../../pods/kernel/errors.ts';
import { seededRandom } from '../../../pods/kernel/random.ts';
import type { ClusterMetadata, NewObject } from '../../../pods/metadata/cluster-metadata.ts';
import { clusterMetadataConformance } from '../../../pods/metadata/cluster-metadata.conformance.ts';
import type { VectorShard } from '../../../pods/metadata/objects.ts';
import { Gate } from './gate.ts';
import { connectMetadata, goodMetadata, MetadataWeather, type MetadataPort, type MetadataQuality } from './metadata-client.ts';
import { SimulatedMetadataStore, type MetadataRules } from './metadata-store.ts';
import { Scheduler } from './scheduler.ts';

interface World {
  readonly scheduler: Scheduler;
  readonly store: SimulatedMetadataStore;
  readonly weather: MetadataWeather;
  readonly counts: Record<string, number>;
  connect(name: string): MetadataPort & { readonly gate: Gate };
}

function world(quality: Partial<MetadataQuality> = {}, rules: MetadataRules = {}): World {
  const scheduler = new Scheduler();
  const random = seededRandom(3);
  const store = new SimulatedMetadataStore({ scheduler, random, rules });
  const weather = new MetadataWeather();
  weather.quality = { ...goodMetadata, ...quality };
  const counts: Record<string, number> = {};
  const connect: World['connect'] = (name) => {
    const gate = new Gate(name, (callback) => void scheduler.after(0, callback));
    return { ...connectMetadata({ store, weather, scheduler, random, counts }, { name }, gate), gate };
  };
  return { scheduler, store, weather, counts, connect };
}

clusterMetadataConformance('simulated metadata', async (t) => {
  const { scheduler, connect } = world({ watchBreak: 0.2 });
  let isOver = false;
  t.after(() => (isOver = true));
  // The suite waits in real time, so the simulated time goes on by itself.
  void (async () => {
    while (!isOver) {
      await scheduler.run(() => false, 100);
      await realSleep(1);
    }
  })();
  return { here: connect('here').metadata, there: connect('there').metadata };
});

const newShard: NewObject<VectorShard> = {
  metadata: { name: 's', labels: {} },
  spec: { collection: { name: 'c', uid: 'u' }, generation: 1, index: 0, hashRange: { start: '0000000000000000', end: 'ffffffffffffffff' }, replicas: ['a'], minInSync: 1 },
};

async function codeOf(scheduler: Scheduler, call: Promise<unknown>): Promise<string> {
  let outcome = '';
  call.then(
    () => (outcome = 'done'),
    (error: unknown) => (outcome = (error as { code: string }).code),
  );
  await scheduler.run(() => outcome !== '', 60_000);
  return outcome;
}

describe('what lies between a process and the store', () => {
  test('a write whose answer is lost is in doubt, and has happened', async () => {
    const { scheduler, store, connect } = world({ lostAnswer: 1 });
    const { shards } = connect('a').metadata;
    assert.equal(await codeOf(scheduler, shards.create(newShard)), 'OUTCOME_UNKNOWN');
    assert.equal(store.list('shards').length, 1);
    assert.equal(await codeOf(scheduler, shards.get('s')), 'UNAVAILABLE');
  });

  test('a write that is lost is in doubt, and does not happen', async () => {
    const { scheduler, store, connect } = world({ lostRequest: 1 });
    assert.equal(await codeOf(scheduler, connect('a').metadata.shards.create(newShard)), 'OUTCOME_UNKNOWN');
    await scheduler.run(() => false, 60_000);
    assert.equal(store.list('shards').length, 0);
  });

  test('a write may land after its time-out, also when its caller is dead', async () => {
    const { scheduler, store, counts, connect } = world({ lateRequest: 1, timeoutMs: 1_000 });
    const { metadata, gate } = connect('a');
    assert.equal(await codeOf(scheduler, metadata.shards.create(newShard)), 'OUTCOME_UNKNOWN');
    gate.close();
    assert.equal(store.list('shards').length, 0);
    await scheduler.run(() => false, 1_001);
    assert.equal(store.list('shards').length, 1);
    assert.deepEqual(counts, { 'metadata writes in doubt': 1, 'metadata writes after their time-out': 1 });
  });

  test('a late write meets the version it was made for, or conflicts', async () => {
    const { scheduler, store, weather, connect } = world({ timeoutMs: 1_000 });
    const [a, b] = [connect('a').metadata.shards, connect('b').metadata.shards];
    const shard = store.create({ name: 'test' }, 'shards', newShard);
    weather.quality = { ...weather.quality, lateRequest: 1 };
    const late = a.replaceStatus({ ...shard, status: { phase: 'Lost' } });
    weather.quality = { ...weather.quality, lateRequest: 0 };
    assert.equal(await codeOf(scheduler, b.replaceStatus({ ...shard, status: { phase: 'Ready' } })), 'done');
    assert.equal(await codeOf(scheduler, late), 'OUTCOME_UNKNOWN');
    await scheduler.run(() => false, 60_000);
    assert.equal(store.get('shards', 's')!.status.phase, 'Ready');
  });

  test('outages of one process and of all, and their ends', async () => {
    const { scheduler, weather, connect } = world({ timeoutMs: 1_000 });
    const [a, b] = [connect('a').metadata.shards, connect('b').metadata.shards];
    const codes = async (shards: ClusterMetadata['shards']): Promise<string[]> => {
      const seen = new Set<string>();
      for (let i = 0; i < 30; i++) seen.add(await codeOf(scheduler, shards.delete('none', '1')));
      return [...seen].sort();
    };
    assert.deepEqual(await codes(a), ['CONFLICT']);
    const ends = [weather.cutOff.hold('a'), weather.cutOff.hold('a')];
    for (const end of ends) {
      assert.deepEqual([await codes(a), await codes(b)], [['OUTCOME_UNKNOWN', 'UNAVAILABLE'], ['CONFLICT']]);
      end();
    }
    weather.isDown = true;
    assert.deepEqual([await codes(a), await codes(b)], [['OUTCOME_UNKNOWN', 'UNAVAILABLE'], ['OUTCOME_UNKNOWN', 'UNAVAILABLE']]);
    weather.isDown = false;
    assert.deepEqual([await codes(a), await codes(b)], [['CONFLICT'], ['CONFLICT']]);
  });

  test('a stale watch shows the past, in order; an outage ends with a list', async () => {
    const { scheduler, store, weather, connect } = world();
    const { shards } = connect('a').metadata;
    const seen: (string | undefined)[] = [];
    shards.watch(() => seen.push(shards.peek('s')?.status.nonce));
    await scheduler.run(() => false, 1_000);
    weather.staleMs.set('a', 3_000);
    let shard = store.create({ name: 'test' }, 'shards', newShard);
    for (const nonce of ['1', '2', '3']) shard = store.replaceStatus({ name: 'test' }, 'shards', { ...shard, status: { phase: 'Pending', nonce } });
    await scheduler.run(() => false, 2_000);
    assert.deepEqual([seen, shards.isFresh()], [[], true]);
    await scheduler.run(() => false, 4_000);
    assert.deepEqual(seen, [undefined, '1', '2', '3']);
    weather.staleMs.clear();
    const end = weather.cutOff.hold('a');
    for (const nonce of ['4', '5']) shard = store.replaceStatus({ name: 'test' }, 'shards', { ...shard, status: { phase: 'Pending', nonce } });
    await scheduler.run(() => false, 10_000);
    assert.deepEqual([shards.peek('s')?.status.nonce, shards.isFresh()], ['3', false]);
    end();
    await scheduler.run(() => false, 10_000);
    assert.deepEqual([seen.slice(4), shards.isFresh()], [['5'], true]);
  });

  test('a backup brings back what was, and perhaps its versions', async () => {
    for (const raiseVersions of [true, false]) {
      const { scheduler, store, connect } = world();
      const { shards } = connect('a').metadata;
      shards.watch(() => undefined);
      const first = store.create({ name: 'test' }, 'shards', newShard);
      const backup = store.backup();
      const second = store.replaceStatus({ name: 'test' }, 'shards', { ...first, status: { phase: 'Ready' } });
      await scheduler.run(() => false, 1_000);
      store.restore(backup, { raiseVersions });
      assert.deepEqual(store.get('shards', 's'), first);
      const other = store.replaceStatus({ name: 'test' }, 'shards', { ...first, status: { phase: 'Lost' } });
      assert.equal(other.metadata.resourceVersion === second.metadata.resourceVersion, !raiseVersions);
      await scheduler.run(() => false, 10_000);
      assert.equal(shards.peek('s')?.status.phase, 'Lost');
    }
  });

  test('rules are asked about every write, and their refusals are kept', async () => {
    const checkShard: MetadataRules['checkShard'] = (previous, next) => (previous !== undefined && next.status.phase === 'Lost' ? 'nothing is lost here' : undefined);
    const checkWriter: MetadataRules['checkWriter'] = ({ name }, _, __, next) => (name === 'a' && next === undefined ? 'may not delete' : undefined);
    const { scheduler, store, connect } = world({}, { checkShard, checkWriter });
    const { shards } = connect('a').metadata;
    assert.equal(await codeOf(scheduler, shards.create(newShard)), 'done');
    const shard = store.get('shards', 's')!;
    assert.equal(await codeOf(scheduler, shards.replaceStatus({ ...shard, status: { phase: 'Lost' } })), 'INVALID_ARGUMENT');
    assert.equal(await codeOf(scheduler, shards.delete('s', shard.metadata.resourceVersion)), 'PERMISSION_DENIED');
    assert.deepEqual(store.refusals, ['a writes "s": nothing is lost here', 'a: may not delete']);
    assert.deepEqual(store.get('shards', 's'), shard);
  });

  test('what changes nothing gives no new version; a touch gives one', async () => {
    const { store } = world();
    const first = store.create({ name: 'test' }, 'shards', newShard);
    assert.equal(store.replaceStatus({ name: 'test' }, 'shards', first), first);
    store.touch('shards', 's');
    assert.throws(() => store.replaceStatus({ name: 'test' }, 'shards', { ...first, status: { phase: 'Ready' } }), (error) => hasCode(error, 'CONFLICT'));
  });

  test('only where a mutation allows it a write without a version goes through', () => {
    for (const allowUnconditional of [true, false]) {
      const { store } = world({}, { allowUnconditional });
      const first = store.create({ name: 'test' }, 'shards', newShard);
      const write = (): unknown => store.replaceStatus({ name: 'test' }, 'shards', { ...first, metadata: { ...first.metadata, resourceVersion: '' }, status: { phase: 'Ready' } });
      if (allowUnconditional) write();
      else assert.throws(write, (error) => hasCode(error, 'CONFLICT'));
    }
  });
});
