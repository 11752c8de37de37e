import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShoalError } from '../kernel/errors.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import type { Metrics, Observation } from '../telemetry/metrics.ts';
import type { DataPod } from './data-pod.ts';
import { observePod } from './pod-metrics.ts';

test('collections are counted at every change, and a store that does not answer is no reason to end', async () => {
  let collections: readonly unknown[] | undefined;
  let changed = (): void => assert.fail('not watched');
  const list = (): Promise<readonly unknown[]> => (collections === undefined ? Promise.reject(new ShoalError('UNAVAILABLE', 'away')) : Promise.resolve(collections));
  const watch = (onChange: () => void): (() => void) => {
    changed = onChange;
    return () => undefined;
  };
  const observers = new Map<string, () => readonly Observation<never>[]>();
  const metrics = { observe: (name: string, read: () => readonly Observation<never>[]) => observers.set(name, read) };
  observePod(metrics as unknown as Metrics, {} as DataPod, { collections: { list, watch } } as unknown as ClusterMetadata);
  const count = async (): Promise<number | undefined> => {
    await new Promise(setImmediate);
    return observers.get('collections')!()[0]?.value;
  };

  assert.equal(await count(), 0);
  for (const [found, expected] of [[[{}, {}], 2], [undefined, 2], [[{}], 1]] as const) {
    collections = found;
    changed();
    assert.equal(await count(), expected);
  }
});
