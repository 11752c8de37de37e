/** A data pod that is the only one, with the controller that a cluster has in a process of its own. */

import { PodList } from '../controller/pod-directory.ts';
import { ShardController } from '../controller/shard-controller.ts';
import { asShoalError, type ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { PodClient } from '../domain/pod-service.ts';
import type { DataPodOptions } from '../service/data-pod.ts';
import { openPod, type OpenPod } from '../service/open-pod.ts';

export interface OnlyPod extends OpenPod {
  readonly pods: PodClient;
  readonly controller: ShardController;
}

const name = 'standalone-0';
const noTransport = { send: () => undefined, queuedBytes: () => 0 };

/** Resolves when every shard is led. Fails when the only copy of one is damaged: better to say so than to serve without it. */
export async function startOnlyPod(options: Omit<DataPodOptions, 'name' | 'podUID' | 'transport' | 'pods' | 'onChange'>): Promise<OnlyPod> {
  const { metadata, clock, logger, random } = options;
  const pods: PodClient = { pod: () => opened.service };
  const controller = new ShardController({ metadata, pods, directory: new PodList([{ name, isDraining: false }]), clock, logger, systemReplication: { replicas: 1, minInSync: 1 } });
  let damage: ShoalError | undefined;
  const opened: OpenPod = await openPod({
    ...options,
    name,
    podUID: random.uuid(),
    transport: noTransport,
    pods,
    onDamaged: (_, error) => (damage ??= asShoalError(error)),
    onChange: () => controller.podChanged(name),
  });
  const close = async (): Promise<void> => {
    await controller.close();
    await opened.close();
  };
  try {
    await opened.assignments.start();
    if (damage !== undefined) throw damage;
    await controller.start();
    const stop = new AbortController();
    const timer = clock.after(limits.requestTimeoutMsMax, () => stop.abort());
    await controller.settled(stop.signal);
    timer.cancel();
  } catch (error) {
    await close();
    throw error;
  }
  return { ...opened, pods, controller, close };
}
