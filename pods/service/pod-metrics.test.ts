import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShoalError } from '../kernel/errors.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import type { Metrics, Observation } from '../telemetry/metrics.ts';
import type { DataPod } from './data-pod.ts';
import { observePod } from './pod-metrics.ts';

type List = () => Promise<readonly { readonly metadata: { readonly name: string } }[]>;

/** What the metric says, and what tells it of a change: the name, and whether it is there. */
function observed(list: List): { readonly count: () => number | undefined; readonly change: (name: string, isThere: boolean) => void } {
  const present = new Set<string>();
  let changed = (_name: string): void => assert.fail('not watched');
  const collections = {
    list,
    peek: (name: string) => (present.has(name) ? {} : undefined),
    watch: (onChange: (name: string) => void) => {
      changed = onChange;
      return () => undefined;
    },
  };
  const observers = new Map<string, () => readonly Observation<never>[]>();
  const metrics = { observe: (name: string, read: () => readonly Observation<never>[]) => observers.set(name, read) };
  observePod(metrics as unknown as Metrics, {} as DataPod, { collections } as unknown as ClusterMetadata);
  return {
    count: () => observers.get('collections')!()[0]?.value,
    change(name, isThere) {
      if (isThere) present.add(name);
      else present.delete(name);
      changed(name);
    },
  };
}

test('collections are counted as the watch tells of them, with those that were there before', async () => {
  const { count, change } = observed(() => Promise.resolve([{ metadata: { name: 'a' } }, { metadata: { name: 'b' } }]));
  await new Promise(setImmediate);
  assert.equal(count(), 2);
  change('a', true);
  assert.equal(count(), 2);
  change('c', true);
  assert.equal(count(), 3);
  change('b', false);
  assert.equal(count(), 2);
});

test('a store that does not answer is no reason to end', async () => {
  const { count, change } = observed(() => Promise.reject(new ShoalError('UNAVAILABLE', 'away')));
  await new Promise(setImmediate);
  assert.equal(count(), 0);
  change('a', true);
  assert.equal(count(), 1);
});
