/**
 * Aim: whatever the payloads, the types of the indexes and the order of updates, a filter answered from the indexes is the
 * filter answered by `compileFilter` on every payload.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeFilter } from '../domain/filter-json.ts';
import { compileFilter } from '../domain/filter-match.ts';
import { payloadIndexTypes, type Filter, type FilterValue, type PayloadIndexSpec } from '../domain/filter.ts';
import { LabelBits } from '../domain/label-set.ts';
import type { Payload, PayloadValue } from '../domain/point.ts';
import { limits } from '../kernel/limits.ts';
import { below, seededRandom, type Random } from '../kernel/random.ts';
import { PayloadIndexes, type FilterPlan } from './payload-indexes.ts';

const seed = Number(process.env['SHOAL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
console.log(`SHOAL_SEED=${seed}`);

type Payloads = Map<number, Payload>;

const live = (payloads: Payloads): LabelBits => LabelBits.from(payloads.keys());

/** What the shard does with a plan: reads the payloads of the uncertain ones. */
function resolved(plan: FilterPlan, payloads: Payloads): number[] {
  if (plan.kind === 'exact') return [...plan.set];
  const matches = compileFilter(plan.residual);
  const uncertain = [...plan.uncertain].filter((label) => payloads.has(label) && matches(payloads.get(label)!));
  return [...plan.certain, ...uncertain].sort((left, right) => left - right);
}

function truth(filter: Filter, payloads: Payloads): number[] {
  const matches = compileFilter(filter);
  return [...payloads].filter(([, payload]) => matches(payload)).map(([label]) => label).sort((left, right) => left - right);
}

function indexed(specs: readonly PayloadIndexSpec[], payloads: Payloads): PayloadIndexes {
  const indexes = new PayloadIndexes(specs);
  for (const [label, payload] of payloads) indexes.update(label, payload);
  return indexes;
}

const scalars: readonly (string | number | boolean | null)[] = [
  'red', 'green', 'blue', '', '1', 'true', 'null', 'é🐟', 'x'.repeat(limits.indexedKeywordLengthMax), 'x'.repeat(limits.indexedKeywordLengthMax + 1),
  0, -0, 1, 1.5, -3, 2 ** 53, 1e300, 5e-324, true, false, null,
  '2024-01-01T00:00:00Z', '2024-01-01T01:00:00+01:00', '2024-01-01T00:00:00.0005Z', '2025-06-01T12:00:00-07:00', '2024-01-01',
];
const pick = <T>(random: Random, from: readonly T[]): T => from[below(random, from.length)] as T;
const fields = ['a', 'b', 'c.d', 'c.e', 'f'];

function randomValue(random: Random, depth: number): PayloadValue {
  const choice = random.fraction();
  if (depth < 3 && choice < 0.2) return Array.from({ length: below(random, 4) }, () => randomValue(random, depth + 1));
  if (depth < 3 && choice < 0.25) return { d: randomValue(random, depth + 1), x: 1 };
  return pick(random, scalars);
}

function randomPayload(random: Random): Payload {
  const payload: Record<string, PayloadValue> = {};
  for (const key of ['a', 'b', 'f']) if (random.fraction() < 0.7) payload[key] = randomValue(random, 0);
  const nested = (): Payload => {
    const inside: Record<string, PayloadValue> = {};
    for (const key of ['d', 'e']) if (random.fraction() < 0.6) inside[key] = randomValue(random, 1);
    return inside;
  };
  const choice = random.fraction();
  if (choice < 0.6) payload['c'] = nested();
  else if (choice < 0.8) payload['c'] = [nested(), randomValue(random, 1), nested()];
  if (random.fraction() < 0.01) payload['a'] = Array.from({ length: limits.indexedValuesPerFieldMax + 1 }, (_, i) => i);
  return payload;
}

function randomFilter(random: Random, depth = 0): Filter {
  const choice = random.fraction();
  if (depth < 4 && choice < 0.4) {
    const filters = Array.from({ length: below(random, 4) }, () => randomFilter(random, depth + 1));
    return { kind: choice < 0.2 ? 'and' : 'or', filters };
  }
  if (depth < 4 && choice < 0.55) return { kind: 'not', filter: randomFilter(random, depth + 1) };
  const field = pick(random, fields);
  const condition = random.fraction();
  if (condition < 0.15) return { kind: 'exists', field };
  if (condition < 0.5) return { kind: 'equals', field, value: pick(random, scalars) };
  if (condition < 0.7) return { kind: 'in', field, values: Array.from({ length: below(random, 5) }, (): FilterValue => pick(random, scalars)) };
  const bounds = random.fraction() < 0.5 ? [-3, 0, 1, 1.5, 1e6] : ['2024-01-01T00:00:00Z', '2024-01-01T02:00:00+02:00', '2025-06-01T19:00:00Z'];
  const names = ['gt', 'gte', 'lt', 'lte'].filter(() => random.fraction() < 0.4);
  if (names.length === 0) names.push('gte');
  return { kind: 'range', field, ...Object.fromEntries(names.map((name) => [name, pick(random, bounds as (string | number)[])])) };
}

function randomSpecs(random: Random): PayloadIndexSpec[] {
  return fields.filter(() => random.fraction() < 0.8).map((field) => ({ field, type: pick(random, payloadIndexTypes) }));
}

/** Sets, replaces and removes payloads, in the indexes and in the model. */
function randomUpdates(random: Random, count: number, payloads: Payloads, ...targets: PayloadIndexes[]): void {
  for (let i = 0; i < count; i++) {
    const label = below(random, 400);
    const payload = random.fraction() < 0.2 ? undefined : randomPayload(random);
    if (payload === undefined) payloads.delete(label);
    else payloads.set(label, payload);
    for (const indexes of targets) indexes.update(label, payload);
  }
}

async function expectRight(indexes: PayloadIndexes, payloads: Payloads, filter: Filter): Promise<void> {
  const plan = await indexes.evaluate(filter, live(payloads));
  assert.deepEqual(resolved(plan, payloads), truth(filter, payloads), JSON.stringify(filter));
}

async function encoded(indexes: PayloadIndexes, between: () => void = () => undefined): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  await indexes.encode(async (chunk) => {
    chunks.push(chunk.slice());
    between();
  });
  return Buffer.concat(chunks);
}

describe('the indexes agree with the payloads', () => {
  test('under random updates and filters', async () => {
    let exact = 0;
    let candidates = 0;
    for (let round = 0; round < 60; round++) {
      const random = seededRandom(seed + round);
      const payloads: Payloads = new Map();
      const indexes = new PayloadIndexes(randomSpecs(random));
      for (let step = 0; step < 5; step++) {
        randomUpdates(random, 100, payloads, indexes);
        for (let i = 0; i < 10; i++) {
          const filter = randomFilter(random);
          await expectRight(indexes, payloads, filter);
          if ((await indexes.evaluate(filter, live(payloads))).kind === 'exact') exact++;
          else candidates++;
        }
      }
    }
    assert.ok(exact > 200 && candidates > 200, `${exact} exact, ${candidates} with candidates`);
  });

  test('of filters asked again and again, whatever became of the answers, and of the fields', async () => {
    const random = seededRandom(seed);
    const payloads: Payloads = new Map();
    const specs = fields.map((field) => ({ field, type: pick(random, payloadIndexTypes) }));
    const indexes = new PayloadIndexes(specs);
    const filters = Array.from({ length: limits.cachedFilterCount + 2 }, () => randomFilter(random));
    for (let step = 0; step < 100; step++) {
      if (random.fraction() < 0.5) randomUpdates(random, 1 + below(random, 20), payloads, indexes);
      else {
        const { field } = pick(random, specs);
        const type = pick(random, payloadIndexTypes);
        indexes.beginField({ field, type });
        for (const [label, payload] of payloads) indexes.update(label, payload);
        if (random.fraction() < 0.5) indexes.completeField(field);
        else indexes.dropField(field);
      }
      for (let i = 0; i < 5; i++) {
        const filter = pick(random, filters);
        const plan = await indexes.evaluate(filter, live(payloads));
        if (plan.kind === 'exact') plan.set.clear();
        await expectRight(indexes, payloads, filter);
      }
    }
  });

  test('when payloads change during an evaluation', async () => {
    let changed = 0;
    for (let round = 0; round < 60; round++) {
      const random = seededRandom(seed + round);
      const payloads: Payloads = new Map();
      const indexes = new PayloadIndexes(randomSpecs(random), 30);
      randomUpdates(random, 500, payloads, indexes);
      const filter: Filter = { kind: 'or', filters: [randomFilter(random), randomFilter(random), randomFilter(random)] };
      let done = false;
      const evaluation = indexes.evaluate(filter, live(payloads)).finally(() => (done = true));
      while (!done) {
        randomUpdates(random, 5, payloads, indexes);
        changed++;
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.deepEqual(resolved(await evaluation, payloads), truth(filter, payloads), JSON.stringify(filter));
    }
    assert.ok(changed > 100, `${changed} rounds of changes`);
  });

  test('when every payload is gone, and memory is given back', async () => {
    const random = seededRandom(seed);
    const payloads: Payloads = new Map();
    const indexes = new PayloadIndexes([{ field: 'a', type: 'keyword' }]);
    randomUpdates(random, 500, payloads, indexes);
    for (const label of payloads.keys()) indexes.update(label, undefined);
    payloads.clear();
    for (const value of scalars) {
      const plan = await indexes.evaluate({ kind: 'equals', field: 'a', value }, new LabelBits());
      assert.deepEqual([plan.kind, resolved(plan, payloads)], ['exact', []]);
    }
    // The dictionary gave its strings back: the same strings get the numbers again, so the checkpoint is as small as before.
    assert.equal((await encoded(indexes)).length, (await encoded(new PayloadIndexes([{ field: 'a', type: 'keyword' }]))).length);
  });

  test('over many leaves: 20,000 points, ranges, arrays and removals', async () => {
    const random = seededRandom(seed);
    const payloads: Payloads = new Map();
    const specs: PayloadIndexSpec[] = [{ field: 'id', type: 'keyword' }, { field: 'n', type: 'integer' }, { field: 'tags', type: 'keyword' }];
    for (let label = 0; label < 20_000; label++) {
      payloads.set(label, { id: `id-${label}`, n: below(random, 5_000), tags: [pick(random, ['x', 'y', 'z']), `t${below(random, 50)}`] });
    }
    const indexes = indexed(specs, payloads);
    for (let i = 0; i < 10_000; i++) {
      const label = below(random, 20_000);
      payloads.delete(label);
      indexes.update(label, undefined);
    }
    for (const json of [
      { field: 'id', equals: 'id-777' },
      { field: 'id', in: ['id-1', 'id-2', 'id-3', 'nobody'] },
      { field: 'n', gte: 100, lt: 120 },
      { field: 'n', gt: 2_500 },
      { field: 'tags', equals: 'x' },
      { and: [{ field: 'tags', equals: 't7' }, { not: { field: 'tags', equals: 'z' } }, { field: 'n', lt: 4_000 }] },
    ]) {
      const filter = decodeFilter(json);
      const plan = await indexes.evaluate(filter, live(payloads));
      assert.equal(plan.kind, 'exact');
      assert.deepEqual(resolved(plan, payloads), truth(filter, payloads), JSON.stringify(json));
    }
  });
});

describe('what a plan says', () => {
  const payloads: Payloads = new Map<number, Payload>([
    [1, { k: 'a', n: 1, t: '2024-01-01T00:00:00Z', flag: true }],
    [2, { k: 'b', n: 2, t: '2024-01-01T01:00:00+01:00' }],
    [3, { k: 7, n: 'two', t: 'soon' }],
    [4, { k: ['a', 'b'], n: [5, null] }],
    [5, { k: Array.from({ length: limits.indexedValuesPerFieldMax + 1 }, (_, i) => `k${i}`) }],
    [6, {}],
  ]);
  const indexes = indexed(
    [
      { field: 'k', type: 'keyword' },
      { field: 'n', type: 'integer' },
      { field: 't', type: 'datetime' },
      { field: 'flag', type: 'bool' },
    ],
    payloads,
  );
  const table: readonly [json: unknown, plan: unknown][] = [
    [{ field: 'n', equals: 1 }, { exact: [1] }],
    [{ field: 'n', gte: 2 }, { exact: [2, 4] }],
    [{ field: 'n', equals: null }, { exact: [4] }],
    [{ field: 'n', equals: 'two' }, { certain: [], uncertain: [3], fields: [] }],
    [{ field: 'n', exists: false }, { exact: [5, 6] }],
    [{ field: 'flag', equals: true }, { exact: [1] }],
    [{ field: 't', gt: '2023-12-31T23:59:59Z', lte: '2024-01-01T00:00:00Z' }, { exact: [1, 2] }],
    // Equal instants, different strings.
    [{ field: 't', equals: '2024-01-01T00:00:00Z' }, { certain: [], uncertain: [1, 2], fields: [] }],
    // Number 5 has too many strings to be indexed.
    [{ field: 'k', equals: 'a' }, { certain: [1, 4], uncertain: [5], fields: [] }],
    [{ not: { field: 'k', equals: 'a' } }, { certain: [2, 3, 6], uncertain: [5], fields: [] }],
    [{ field: 'k', exists: true }, { exact: [1, 2, 3, 4, 5] }],
    [{ field: 'k', equals: 'x'.repeat(limits.indexedKeywordLengthMax + 1) }, { certain: [], uncertain: [3, 5], fields: [] }],
    [{ field: 'k', equals: 'x'.repeat(limits.indexedKeywordLengthMax) }, { certain: [], uncertain: [5], fields: [] }],
    // What one part leaves open for number 5, the other settles.
    [{ or: [{ field: 'k', equals: 'a' }, { field: 'n', exists: false }] }, { exact: [1, 4, 5, 6] }],
    [{ field: 'k', equals: 7 }, { certain: [], uncertain: [3, 5], fields: [] }],
    [{ field: 'other', equals: 7 }, { certain: [], uncertain: [1, 2, 3, 4, 5, 6], fields: ['other'] }],
    [{ and: [{ field: 'other', equals: 7 }, { field: 'n', gte: 2 }] }, { certain: [], uncertain: [2, 4], fields: ['other'] }],
    [{ or: [{ field: 'other', equals: 7 }, { field: 'n', gte: 2 }] }, { certain: [2, 4], uncertain: [1, 3, 5, 6], fields: ['other'] }],
    // Nothing is possible after the first part, so the second is not looked at.
    [{ and: [{ field: 'other', equals: 7 }, { field: 'n', gte: 100 }] }, { exact: [] }],
    [{ and: [] }, { exact: [1, 2, 3, 4, 5, 6] }],
    [{ or: [] }, { exact: [] }],
  ];
  for (const [json, expected] of table) {
    test(JSON.stringify(json).slice(0, 100), async () => {
      const plan = await indexes.evaluate(decodeFilter(json), live(payloads));
      const seen =
        plan.kind === 'exact'
          ? { exact: [...plan.set] }
          : { certain: [...plan.certain], uncertain: [...plan.uncertain], fields: plan.fields };
      assert.deepEqual(seen, expected);
    });
  }

  const estimates: readonly [json: unknown, count: number][] = [
    [{ field: 'n', equals: 1 }, 1],
    [{ field: 'n', gte: 1 }, 3],
    [{ not: { field: 'n', gte: 1 } }, 3],
    [{ field: 'other', equals: 1 }, 6],
    [{ and: [{ field: 'other', equals: 1 }, { field: 'n', gte: 2 }] }, 2],
    [{ or: [{ field: 'n', equals: 1 }, { field: 'n', equals: 2 }] }, 2],
    [{ or: [{ field: 'n', exists: true }, { field: 'k', exists: true }] }, 6],
  ];
  for (const [json, count] of estimates) {
    test(`estimate of ${JSON.stringify(json)}`, () => assert.equal(indexes.estimate(decodeFilter(json), payloads.size), count));
  }
});

test('an aborted evaluation stops', async () => {
  const payloads: Payloads = new Map(Array.from({ length: 1_000 }, (_, label) => [label, { n: label }]));
  const indexes = new PayloadIndexes([{ field: 'n', type: 'float' }], 10);
  for (const [label, payload] of payloads) indexes.update(label, payload);
  const controller = new AbortController();
  const evaluation = indexes.evaluate({ kind: 'range', field: 'n', gte: 0 }, live(payloads), controller.signal);
  controller.abort(new Error('enough'));
  await assert.rejects(evaluation, /enough/);
});

describe('fields that come and go', () => {
  test('a begun field answers once it is complete, with the updates made meanwhile', async () => {
    const random = seededRandom(seed);
    const payloads: Payloads = new Map();
    const indexes = new PayloadIndexes([{ field: 'a', type: 'keyword' }]);
    randomUpdates(random, 300, payloads, indexes);
    const filter: Filter = { kind: 'equals', field: 'b', value: 1 };
    indexes.beginField({ field: 'b', type: 'integer' });
    for (const label of [...payloads.keys()]) {
      indexes.update(label, payloads.get(label));
      randomUpdates(random, 1, payloads, indexes);
      for (const other of payloads.keys()) if (other < label) indexes.update(other, payloads.get(other));
    }
    const before = await indexes.evaluate(filter, live(payloads));
    assert.ok(before.kind === 'candidates' && before.fields.includes('b'));
    indexes.completeField('b');
    assert.deepEqual(indexes.specs, [{ field: 'a', type: 'keyword' }, { field: 'b', type: 'integer' }]);
    const after = await indexes.evaluate(filter, live(payloads));
    assert.equal(after.kind, 'exact');
    assert.deepEqual(resolved(after, payloads), truth(filter, payloads));
    indexes.dropField('b');
    await expectRight(indexes, payloads, filter);
    assert.deepEqual(indexes.specs, [{ field: 'a', type: 'keyword' }]);
  });
});

describe('a checkpoint', () => {
  const rejectsAsCorrupt = (specs: readonly PayloadIndexSpec[], bytes: Uint8Array, what: string): Promise<void> =>
    assert.rejects(PayloadIndexes.decode(specs, [bytes]), { code: 'CORRUPTION' }, what);

  test('holds the indexes of the moment it began, and takes later updates after loading', async () => {
    for (let round = 0; round < 20; round++) {
      const random = seededRandom(seed + round);
      const payloads: Payloads = new Map();
      const specs = randomSpecs(random);
      const indexes = new PayloadIndexes(specs);
      randomUpdates(random, 500, payloads, indexes);
      const atStart = new Map(payloads);
      const bytes = await encoded(indexes, () => randomUpdates(random, 30, payloads, indexes));
      // Cut anywhere: frames and chunks have nothing to do with each other.
      const cut = below(random, bytes.length);
      const { indexes: loaded, missing } = await PayloadIndexes.decode(specs, [bytes.subarray(0, cut), bytes.subarray(cut)]);
      assert.deepEqual([missing, loaded.specs], [[], specs]);
      for (let i = 0; i < 15; i++) await expectRight(loaded, atStart, randomFilter(random));
      // As after a restart: the present payload of every label that changed, perhaps more than once.
      for (const label of new Set([...atStart.keys(), ...payloads.keys()])) loaded.update(label, payloads.get(label));
      randomUpdates(random, 200, payloads, loaded, indexes);
      for (let i = 0; i < 15; i++) {
        const filter = randomFilter(random);
        await expectRight(loaded, payloads, filter);
        await expectRight(indexes, payloads, filter);
      }
    }
  });

  test('of many frames', async () => {
    const payloads: Payloads = new Map(
      Array.from({ length: 60_000 }, (_, label) => [label * 70, { id: `name of the point ${label}`, n: label % 1_000 }]),
    );
    const specs: PayloadIndexSpec[] = [{ field: 'id', type: 'keyword' }, { field: 'n', type: 'float' }];
    const indexes = indexed(specs, payloads);
    const chunks: number[] = [];
    const parts: Uint8Array[] = [];
    await indexes.encode(async (chunk) => {
      chunks.push(chunk.length);
      parts.push(chunk);
    });
    assert.ok(chunks.length > 10 && Math.max(...chunks) < 80 * 1024, `${chunks.length} chunks, the largest ${Math.max(...chunks)}`);
    const { indexes: loaded } = await PayloadIndexes.decode(specs, parts);
    await expectRight(loaded, payloads, { kind: 'equals', field: 'id', value: 'name of the point 59999' });
    await expectRight(loaded, payloads, { kind: 'range', field: 'n', gte: 10, lt: 12 });
    await expectRight(loaded, payloads, { kind: 'exists', field: 'n' });
    // Loading repacks the leaves, once: from then on the same content is the same bytes.
    const again = await encoded(loaded);
    const { indexes: twice } = await PayloadIndexes.decode(specs, [again]);
    assert.ok(again.equals(await encoded(twice)));
  });

  test('of other specs gives those fields that still fit, and names the missing', async () => {
    const payloads: Payloads = new Map([[3, { a: 'x', b: 1, c: 2 }]]);
    const bytes = await encoded(indexed([{ field: 'a', type: 'keyword' }, { field: 'b', type: 'keyword' }, { field: 'c', type: 'float' }], payloads));
    const { indexes, missing } = await PayloadIndexes.decode([{ field: 'a', type: 'keyword' }, { field: 'b', type: 'integer' }], [bytes]);
    assert.deepEqual([indexes.specs, missing], [[{ field: 'a', type: 'keyword' }], [{ field: 'b', type: 'integer' }]]);
    indexes.update(3, payloads.get(3));
    indexes.completeField('b');
    const plan = await indexes.evaluate({ kind: 'equals', field: 'b', value: 1 }, live(payloads));
    assert.deepEqual([plan.kind, resolved(plan, payloads)], ['exact', [3]]);
  });

  test('is CORRUPTION with any byte flipped, cut off, added, or a frame missing, doubled or moved', async () => {
    const specs: PayloadIndexSpec[] = [{ field: 'k', type: 'keyword' }, { field: 'n', type: 'integer' }];
    const payloads: Payloads = new Map<number, Payload>([
      [1, { k: 'one', n: 1 }],
      [2, { k: ['two', 'three'], n: null }],
      [40, { k: 5, n: 'x' }],
    ]);
    const frames: Uint8Array[] = [];
    await indexed(specs, payloads).encode(async (chunk) => void frames.push(chunk));
    const bytes = Buffer.concat(frames);
    await PayloadIndexes.decode(specs, [bytes]);
    await PayloadIndexes.decode(specs, Array.from(bytes, (byte) => Uint8Array.of(byte)));
    for (let position = 0; position < bytes.length; position++) {
      for (const bit of [0, 3, 7]) {
        const damaged = Buffer.from(bytes);
        damaged[position]! ^= 1 << bit;
        await rejectsAsCorrupt(specs, damaged, `byte ${position}, bit ${bit}`);
      }
      await rejectsAsCorrupt(specs, bytes.subarray(0, position), `cut at ${position}`);
    }
    await rejectsAsCorrupt(specs, Buffer.concat([bytes, Buffer.alloc(1)]), 'a byte more');
    await rejectsAsCorrupt(specs, Buffer.concat([bytes, bytes]), 'twice');
    for (let i = 0; i < frames.length; i++) {
      await rejectsAsCorrupt(specs, Buffer.concat(frames.toSpliced(i, 1)), `frame ${i} missing`);
      await rejectsAsCorrupt(specs, Buffer.concat(frames.toSpliced(i, 0, frames[i]!)), `frame ${i} doubled`);
      if (i + 1 < frames.length) await rejectsAsCorrupt(specs, Buffer.concat(frames.toSpliced(i, 2, frames[i + 1]!, frames[i]!)), `frames ${i}, ${i + 1} swapped`);
    }
  });

  test('fails when writing fails, and can be written again', async () => {
    const payloads: Payloads = new Map([[1, { a: 'x' }]]);
    const indexes = indexed([{ field: 'a', type: 'keyword' }], payloads);
    await assert.rejects(indexes.encode(() => Promise.reject(new Error('disk'))), /disk/);
    assert.ok((await encoded(indexes)).length > 0);
  });
});
