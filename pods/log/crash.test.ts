/**
 * Aim: whatever a crash, a kill, a failing disk or a full one does, a reopened log holds exactly what was acknowledged,
 * plus perhaps the first few of what was under way, and never anything else. Random operations on several replicas run
 * against a model; the seed of a failure is printed, and SHOAL_SEED runs that one alone.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '../kernel/clock.ts';
import { hasCode } from '../kernel/errors.ts';
import { faultyFileSystem, type FaultyFileSystem } from '../kernel/faulty-file-system.ts';
import { below, seededRandom, type Random } from '../kernel/random.ts';
import type { LogEntry, PodLog } from './log.ts';
import { openPodLog } from './pod-log.ts';

const replicaCount = 4;
const seedCount = 300;
const segmentBytes = 6 * 1024;

/** One replica as it may be: a base and the entries after it, as "term:payload". */
interface Shape {
  readonly baseSeq: number;
  readonly baseTerm: number;
  readonly entries: readonly string[];
  readonly adoptedTerm: number;
}

/** The shapes a replica may have after a crash, oldest first: what is durable for sure, then what each pending call adds. */
class ReplicaModel {
  possible: Shape[] = [{ baseSeq: 0, baseTerm: 0, entries: [], adoptedTerm: 0 }];
  releasedSeq = 0;

  get newest(): Shape {
    return this.possible.at(-1)!;
  }

  /** Counts as acknowledged: nothing older is possible any more. */
  settle(shape: Shape): void {
    const index = this.possible.indexOf(shape);
    if (index > 0) this.possible.splice(0, index);
  }

  refuseAfter(shape: Shape): void {
    const index = this.possible.indexOf(shape);
    if (index > 0) this.possible.length = index;
  }
}

class Run {
  readonly random: Random;
  readonly disk: FaultyFileSystem;
  readonly models = Array.from({ length: replicaCount }, () => new ReplicaModel());
  log!: PodLog;
  term = 1;
  acknowledged = 0;
  reopened = 0;
  refused = 0;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.disk = faultyFileSystem({ random: this.random, faults: { delay: 0.1 } });
  }

  async open(): Promise<void> {
    this.disk.faults.writeError = 0;
    this.disk.faults.syncError = 0;
    this.disk.setCapacity(Infinity);
    this.log = await openPodLog({
      directory: '/data/log',
      fileSystem: this.disk.mount(),
      clock: systemClock,
      bounds: { segmentBytes },
    });
    this.reopened++;
    await this.compare();
    if (this.random.fraction() < 0.3) this.disk.faults.writeError = 0.02;
    if (this.random.fraction() < 0.3) this.disk.faults.syncError = 0.02;
  }

  /** The reopened log must equal one of the shapes that the model allows; from then on it is the only one. */
  async compare(): Promise<void> {
    for (const [id, model] of this.models.entries()) {
      const replica = this.log.replica(id);
      const entries = await collect(replica.read(replica.firstSeq, replica.lastSeq));
      const found = entries.map(({ term, payload }) => `${term}:${Buffer.from(payload).toString('latin1')}`);
      assert.deepEqual(entries.map(({ seq }) => seq), entries.map((_, index) => replica.firstSeq + index));
      assert.equal(replica.firstSeq + entries.length - 1, replica.lastSeq, 'every entry can be read');
      const match = model.possible.find((shape) => {
        const trimmed = replica.firstSeq - 1 - shape.baseSeq;
        if (replica.firstSeq > Math.max(model.releasedSeq, shape.baseSeq) + 1) return false;
        if (shape.adoptedTerm !== replica.adoptedTerm) return false;
        if (trimmed < 0 || replica.lastSeq !== shape.baseSeq + shape.entries.length) return false;
        return shape.entries.slice(trimmed).join('|') === found.join('|');
      });
      assert.ok(match, `replica ${id} has ${replica.firstSeq}..${replica.lastSeq}, adopted ${replica.adoptedTerm}, possible are ${describeShapes(model)}`);
      const lastTerm = match.entries.length > 0 ? Number(match.entries.at(-1)!.split(':')[0]) : match.baseTerm;
      assert.equal(replica.lastTerm, lastTerm);
      assert.equal(replica.durableSeq, replica.lastSeq);
      model.possible = [match];
    }
  }

  /** One random call; it is not awaited, so that calls pile up in groups. */
  act(): void {
    const id = below(this.random, replicaCount);
    const model = this.models[id]!;
    const replica = this.log.replica(id);
    const { baseSeq, baseTerm, entries, adoptedTerm } = model.newest;
    const lastSeq = baseSeq + entries.length;
    assert.deepEqual([replica.lastSeq, replica.adoptedTerm], [lastSeq, adoptedTerm]);
    const dice = this.random.fraction();
    if (dice < 0.05) this.term++;
    const withTerm = Math.max(adoptedTerm, this.term);
    if (dice < 0.7) {
      const added = this.newEntries(lastSeq + 1, 1 + below(this.random, 3));
      this.track(model, { baseSeq, baseTerm, entries: [...entries, ...added.map(asText)], adoptedTerm: withTerm }, replica.append(added));
    } else if (dice < 0.75) {
      // Entries of lower terms follow it: the terms of entries go up more slowly.
      const term = this.term + below(this.random, 4);
      this.track(model, { baseSeq, baseTerm, entries, adoptedTerm: Math.max(adoptedTerm, term) }, replica.adoptTerm(term));
    } else if (dice < 0.85) {
      const lowest = Math.max(replica.firstSeq, model.releasedSeq + 1);
      if (lowest > lastSeq) return;
      const fromSeq = lowest + below(this.random, lastSeq - lowest + 1);
      const added = this.newEntries(fromSeq, below(this.random, 3));
      const kept = entries.slice(0, fromSeq - 1 - baseSeq);
      const after = { baseSeq, baseTerm, entries: [...kept, ...added.map(asText)], adoptedTerm: added.length > 0 ? withTerm : adoptedTerm };
      this.track(model, after, replica.replaceSuffix(fromSeq, added));
    } else if (dice < 0.98) {
      model.releasedSeq = Math.max(model.releasedSeq, replica.durableSeq - below(this.random, 3));
      void replica.release(model.releasedSeq);
    } else {
      const seq = lastSeq + below(this.random, 20);
      this.track(model, { baseSeq: seq, baseTerm: this.term, entries: [], adoptedTerm: withTerm }, replica.reset(seq, this.term));
    }
  }

  track(model: ReplicaModel, shape: Shape, pending: Promise<void>): void {
    model.possible.push(shape);
    const { log } = this;
    pending.then(
      () => {
        if (this.log !== log) return;
        this.acknowledged++;
        model.settle(shape);
      },
      (error: unknown) => {
        if (this.log !== log) return;
        const isKnown = hasCode(error, 'STORAGE_READ_ONLY') || hasCode(error, 'UNAVAILABLE');
        assert.ok(isKnown || hasCode(error, 'OUTCOME_UNKNOWN'), String(error));
        if (!isKnown) return;
        this.refused++;
        model.refuseAfter(shape);
      },
    );
  }

  newEntries(fromSeq: number, count: number): LogEntry[] {
    return Array.from({ length: count }, (_, index) => {
      const length = this.random.fraction() < 0.1 ? below(this.random, 2500) : below(this.random, 60);
      const filler = this.random.fraction() < 0.3 ? '\0' : 'x';
      const payload = Buffer.from(`${this.random.uint32()}${filler.repeat(length)}`, 'latin1');
      return { term: this.term, seq: fromSeq + index, payload };
    });
  }

  async round(): Promise<void> {
    const steps = 5 + below(this.random, 40);
    if (this.random.fraction() < 0.1) this.disk.setCapacity(segmentBytes * (1 + below(this.random, 4)));
    for (let step = 0; step < steps && this.log.failure === undefined; step++) {
      this.act();
      const pause = below(this.random, 6);
      for (let turn = 0; turn < pause; turn++) await new Promise(setImmediate);
    }
    const ending = this.random.fraction();
    if (ending < 0.2 && this.log.failure === undefined) {
      await this.log.verify();
      await this.log.close();
    } else if (ending < 0.5) {
      this.disk.kill();
    } else {
      this.disk.crash();
    }
    const { log } = this;
    await this.open();
    assert.notEqual(this.log, log);
  }
}

const asText = ({ term, payload }: LogEntry): string => `${term}:${Buffer.from(payload).toString('latin1')}`;

function describeShapes(model: ReplicaModel): string {
  return model.possible.map(({ baseSeq, entries, adoptedTerm }) => `${baseSeq + 1}..${baseSeq + entries.length} adopted ${adoptedTerm}`).join(', ');
}

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of source) all.push(item);
  return all;
}

describe('the log under crashes', () => {
  const only = process.env['SHOAL_SEED'];
  const seeds = only === undefined ? Array.from({ length: seedCount }, (_, index) => index + 1) : [Number(only)];

  test(`${seeds.length} seeds keep what was acknowledged`, async () => {
    let acknowledged = 0;
    let reopened = 0;
    let refused = 0;
    for (const seed of seeds) {
      const run = new Run(seed);
      try {
        await run.open();
        for (let round = 0; round < 4; round++) await run.round();
      } catch (error) {
        throw new Error(`SHOAL_SEED=${seed}`, { cause: error });
      }
      acknowledged += run.acknowledged;
      reopened += run.reopened;
      refused += run.refused;
    }
    if (only !== undefined) return;
    assert.ok(acknowledged > 5_000 && reopened === seedCount * 5 && refused > 100, `${acknowledged} ${reopened} ${refused}`);
  });
});
