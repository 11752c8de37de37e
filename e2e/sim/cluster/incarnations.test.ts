/** Aim: which moves of a pod's replicas break rule F1, told from what its registry holds and what it has read. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VectorShard } from '../../../pods/metadata/objects.ts';
import { Incarnations, type Watched } from './incarnations.ts';
import type { PodMachine } from './pod-machine.ts';

/** The registry as `incarnation/number`, a look at it, an object that was read, another disk. */
type Step = { readonly holds: string } | { readonly reads: readonly string[]; readonly isDeleting?: true } | 'another disk' | 'down';

const cases: readonly { readonly what: string; readonly steps: readonly Step[]; readonly broken?: RegExp }[] = [
  { what: 'it stays', steps: [{ reads: ['x'] }, { holds: 'x/1' }, { holds: 'x/1' }] },
  { what: 'it gives way unlisted', steps: [{ reads: ['x'] }, { holds: 'x/1' }, { reads: [] }, { holds: 'y/2' }] },
  { what: 'it gives way listed', steps: [{ reads: ['x'] }, { holds: 'x/1' }, { reads: ['x'] }, { holds: 'y/2' }], broken: /gave up incarnation x .*\(F1, A2\)$/ },
  { what: 'it is gone listed', steps: [{ holds: 'x/1' }, { reads: ['x'] }, { holds: '' }], broken: /\(F1, A2\)$/ },
  { what: 'it is gone, and nobody asked', steps: [{ holds: 'x/1' }, { holds: '' }], broken: /\(F1, A2\)$/ },
  { what: 'an old read that did not list it is no excuse', steps: [{ reads: [] }, { reads: ['x'] }, { holds: 'x/1' }, { holds: '' }], broken: /\(F1, A2\)$/ },
  { what: 'one that was read as unlisted between two looks', steps: [{ holds: 'x/1' }, { reads: [] }, { reads: ['x'] }, { holds: 'y/2' }] },
  { what: 'its shard is deleted', steps: [{ holds: 'x/1' }, { reads: ['x'], isDeleting: true }, { holds: '' }] },
  { what: 'it gives way listed while nobody can look', steps: [{ holds: 'x/1' }, 'down', { reads: ['x'] }, { holds: 'y/2' }], broken: /\(F1, A2\)$/ },
  { what: 'its disk is another one', steps: [{ reads: ['x'] }, { holds: 'x/1' }, 'another disk', { holds: 'y/1' }] },
  { what: 'it comes again under another number', steps: [{ holds: 'x/1' }, { holds: 'x/2' }], broken: /incarnation x is that of replica 2 .* was that of replica 1 .*\(F1\)$/ },
  { what: 'it comes again on another disk', steps: [{ holds: 'x/1' }, 'another disk', { holds: 'x/1' }], broken: /on another disk \(F1\)$/ },
  { what: 'its number is given to another one', steps: [{ holds: 'x/1' }, { reads: [] }, { holds: 'y/1' }], broken: /number 1 .* was given to incarnation x, and now to y \(F1\)$/ },
];

test('what F1 forbids', () => {
  for (const { what, steps, broken } of cases) {
    if (broken === undefined) assert.doesNotThrow(() => take(steps), what);
    else assert.throws(() => take(steps), { message: broken }, what);
  }
});

function take(steps: readonly Step[]): void {
  let machine = {} as PodMachine;
  let held: string | undefined;
  const shardUID = 'shard';
  const registered = (): { readonly shardUID: string; readonly incarnation: string; readonly localReplica: number }[] => {
    const [incarnation = '', localReplica] = held!.split('/');
    return incarnation === '' ? [] : [{ shardUID, incarnation, localReplica: Number(localReplica) }];
  };
  const world: Watched = { names: () => ['pod-0'], pod: () => (held === undefined ? undefined : { registered }), machine: () => machine, onShardRead: () => undefined };
  const incarnations = new Incarnations(world, () => undefined);
  for (const step of steps) {
    if (step === 'another disk') machine = {} as PodMachine;
    if (step === 'another disk' || step === 'down') held = undefined;
    else if ('reads' in step) world.onShardRead('pod-0', shardListing(shardUID, step.reads, step.isDeleting === true));
    else held = step.holds;
    if (typeof step === 'object' && 'reads' in step) continue;
    incarnations.check();
  }
}

function shardListing(uid: string, incarnations: readonly string[], isDeleting: boolean): VectorShard {
  const inSync = incarnations.map((incarnation) => ({ pod: 'pod-0', incarnation }));
  const authority = { term: 1, configVersion: 1, inSync, primary: { pod: 'pod-1', podUID: 'u', incarnation: 'p', session: 's' } };
  return { metadata: { uid, ...(isDeleting ? { deletionTimestampMs: 1 } : {}) }, status: { authority } } as unknown as VectorShard;
}
