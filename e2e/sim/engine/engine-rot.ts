/** Bit rot: the last thing that happens to a machine. */

import { ShoalError } from '../../../pods/kernel/errors.ts';
import type { EngineVerification } from './engine-verification.ts';
import type { EngineWorld } from './engine-world.ts';
import { dataRoot } from './machine.ts';

/** Bits flip somewhere: whatever is answered afterwards is right, or it is an error that says so. */
export async function rot(world: EngineWorld, verification: EngineVerification): Promise<void> {
  const isClosed = world.chance(0.5);
  const storeKey = await world.machine.randomStoreKey();
  if (isClosed) world.machine.end('kill');
  await flipSomething(world, storeKey);
  world.isDamaged = true;
  try {
    if (isClosed) world.process = await world.drive(world.machine.start());
    await verification.verify();
    world.count('rot without effect');
  } catch (error) {
    const code = error instanceof ShoalError ? error.code : undefined;
    if (code !== 'CORRUPTION' && code !== 'UNAVAILABLE' && code !== 'FORMAT_TOO_NEW' && code !== 'OUTCOME_UNKNOWN') throw error;
    world.count('rot reported');
    world.tell(`reported: ${code} ${(error as Error).message}`);
  }
}

async function flipSomething(world: EngineWorld, storeKey: Uint8Array | undefined): Promise<void> {
  const { disk, store } = world.machine;
  if (world.chance(0.4)) {
    if (storeKey === undefined) return;
    world.tell(`rot at store key ${Buffer.from(storeKey).toString('hex')}`);
    world.count('rot in the store');
    return store.corrupt(storeKey);
  }
  const files: { path: string; sizeBytes: number }[] = [];
  const collect = async (directory: string): Promise<void> => {
    for (const name of await disk.list(directory)) {
      const path = `${directory}/${name}`;
      const content = await disk.readFile(path).catch(() => undefined);
      if (content === undefined) await collect(path);
      else if (content.length > 0) files.push({ path, sizeBytes: content.length });
    }
  };
  await collect(dataRoot);
  const { path, sizeBytes } = world.pick(files);
  world.count(`rot in ${path.split('/')[2]!}`);
  const offset = world.below(sizeBytes);
  world.tell(`rot in ${path} at ${offset} of ${sizeBytes}`);
  disk.flip(path, offset, world.below(8));
}
