/** Time that passes, maintenance, broken disks and stores, and their repair. */

import assert from 'node:assert/strict';
import { turnCountMax, type EngineWorld } from './engine-world.ts';
import { dataRoot } from './machine.ts';

export function passTime(world: EngineWorld): void {
  world.process.clock.advance(world.pick([50, 1_500, 12_000, 61_000, 130_000]));
}

export async function maintain(world: EngineWorld): Promise<void> {
  const { pod } = world.process;
  if (world.chance(0.5)) {
    world.count('log released');
    void world.guard('release', pod.releaseLog());
    return;
  }
  for (const { replica } of pod.hosted()) {
    world.count('checkpoint');
    void world.guard('checkpoint', replica.checkpoint());
  }
  await world.turns(world.below(10));
}

export async function breakSomething(world: EngineWorld): Promise<void> {
  const { disk, store } = world.machine;
  const fault = world.pick(['write errors', 'sync errors', 'disk full', 'store read errors', 'store write errors', 'store flush errors'] as const);
  world.count(fault);
  world.tell(fault);
  switch (fault) {
    case 'write errors':
      return void (disk.faults.writeError = 0.1);
    case 'sync errors':
      return void (disk.faults.syncError = 0.1);
    case 'disk full': {
      const huge = 1e12;
      disk.setCapacity(huge);
      const { freeBytes } = await disk.usage(dataRoot);
      return disk.setCapacity(huge - freeBytes + world.below(3_000));
    }
    case 'store read errors':
      return store.setFaults({ readErrors: 0.01 });
    case 'store write errors':
      return store.setFaults({ writeErrors: 0.1 });
    case 'store flush errors':
      return store.setFaults({ flushErrors: 0.5 });
  }
}

export function repair(world: EngineWorld): void {
  const { disk, store } = world.machine;
  disk.setCapacity(Infinity);
  Object.assign(disk.faults, { writeError: 0, readError: 0, syncError: 0 });
  store.setFaults({ writeErrors: 0, flushErrors: 0, readErrors: 0 });
}

/** Mends everything and waits for what is under way. False when the process has failed. */
export async function quiesce(world: EngineWorld): Promise<boolean> {
  repair(world);
  for (let turn = 0; world.inFlight.size > 0 && world.process.failure() === undefined; turn++) {
    assert(turn < turnCountMax, `${world.inFlight.size} requests never end`);
    await world.turns(1);
    world.process.clock.advance(world.below(40));
    if (world.failure !== undefined) throw world.failure;
  }
  return world.process.failure() === undefined;
}
