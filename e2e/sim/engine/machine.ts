/**
 * One machine of the simulation: a disk with the log, the checkpoints and the metadata, a store on the same disk, and at
 * most one process on it. A power loss or a kill hits disk and store at the same instant.
 */

import type { VectorApi } from '../../../pods/api/vector-api.ts';
import { faultyFileSystem, type FaultyFileSystem } from '../../../pods/kernel/faulty-file-system.ts';
import { silentLogger } from '../../../pods/kernel/logger.ts';
import { below, type Random } from '../../../pods/kernel/random.ts';
import { openPodLog } from '../../../pods/log/pod-log.ts';
import { openLocalMetadata } from '../../../pods/metadata/local-metadata.ts';
import { createRouter } from '../../../pods/router/router.ts';
import { openDataDirectory } from '../../../pods/service/data-directory.ts';
import type { DataPod } from '../../../pods/service/data-pod.ts';
import { startOnlyPod, type OnlyPod } from '../../../pods/standalone/only-pod.ts';
import { openFaultyStore, type FaultyStore } from '../../../pods/storage/faulty-store.ts';
import { noMetrics } from '../../../pods/telemetry/metrics.ts';
import { SimulatedClock } from '../simulated-clock.ts';
import { simulatedGraphFactory } from '../simulated-graph.ts';
import { slowStore } from './slow-store.ts';

export const dataRoot = '/data';
const segmentBytes = 8 * 1024;
const wholeStore = { start: new Uint8Array([0]), end: new Uint8Array([0xff, 0xff, 0xff, 0xff, 0xff]) };

export interface EngineProcess {
  readonly clock: SimulatedClock;
  readonly pod: DataPod;
  readonly only: OnlyPod;
  readonly api: VectorApi;
  /** Why it wants to end; such a process acknowledges nothing any more. */
  failure(): Error | undefined;
}

export class Machine {
  readonly disk: FaultyFileSystem;
  readonly #random: Random;
  #store: FaultyStore | undefined;
  #nowMs = 1_700_000_000_000;
  #clock: SimulatedClock | undefined;
  #storeIsOpen = false;

  constructor(random: Random) {
    this.#random = random;
    this.disk = faultyFileSystem({ random, faults: { delay: 0.15 } });
  }

  get store(): FaultyStore {
    return this.#store!;
  }

  get clock(): SimulatedClock {
    return this.#clock!;
  }

  async start(): Promise<EngineProcess> {
    const random = this.#random;
    const clock = new SimulatedClock(this.#nowMs);
    this.#clock = clock;
    const store = this.#store === undefined ? openFaultyStore(random) : this.#store.reopen();
    this.#store = store;
    this.#storeIsOpen = true;
    const fileSystem = this.disk.mount();
    let failure: Error | undefined;
    const directory = await openDataDirectory(fileSystem, dataRoot, 'simulation');
    const log = await openPodLog({ directory: directory.log, fileSystem, clock, bounds: { segmentBytes } });
    const metadata = await openLocalMetadata({ directory: directory.metadata, fileSystem, clock, random });
    const only = await startOnlyPod({
      directory,
      fileSystem,
      log,
      store: slowStore(store, random),
      graphFactory: simulatedGraphFactory(fileSystem, random),
      metadata,
      clock,
      random,
      logger: silentLogger,
      diskReadOnlyAtFraction: 0.95,
      onFailure: (error) => (failure ??= error),
      flatFloatsMax: 24,
      tailFloatsMax: 48,
    });
    const router = createRouter({ metadata, pods: only.pods, clock, random, logger: silentLogger, metrics: noMetrics, replicaCountMax: 1 });
    const absent = new Proxy({}, { get: () => assertUnused }) as never;
    return { clock, pod: only.pod, only, api: router.api({ keys: absent, cluster: absent }), failure: () => failure };
  }

  /** Of all keys that are stored, one by chance. */
  async randomStoreKey(): Promise<Uint8Array | undefined> {
    const keys: Uint8Array[] = [];
    for await (const slice of this.store.scan({ ...wholeStore, keysOnly: true })) keys.push(...slice.map(({ key }) => key));
    return keys[below(this.#random, keys.length)];
  }

  /** An orderly end. */
  async close(process: EngineProcess): Promise<void> {
    await process.only.close();
    this.#ended();
  }

  end(how: 'power loss' | 'kill'): void {
    if (how === 'power loss') this.disk.crash();
    else this.disk.kill();
    if (this.#storeIsOpen) this.store.crash();
    this.#ended();
  }

  #ended(): void {
    this.#storeIsOpen = false;
    this.#nowMs = this.#clock!.nowMs() + 1_000;
    this.disk.setCapacity(Infinity);
    Object.assign(this.disk.faults, { writeError: 0, readError: 0, syncError: 0 });
    this.store.setFaults({ writeErrors: 0, flushErrors: 0, readErrors: 0, diskBytesMax: Infinity });
  }
}

function assertUnused(): never {
  throw new Error('the simulation uses points, collections and searches only');
}
