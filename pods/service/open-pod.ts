/** A data pod with what belongs to it: the replicas that its objects ask for, and the service that answers for it. */

import { Assignments } from './assignments.ts';
import { DataPod, type DataPodOptions } from './data-pod.ts';
import { LocalPodService } from './local-pod-service.ts';

export interface OpenPod {
  readonly pod: DataPod;
  readonly assignments: Assignments;
  readonly service: LocalPodService;
  close(): Promise<void>;
}

export async function openPod(options: DataPodOptions & { readonly onDamaged: (shardUID: string, error: unknown) => void }): Promise<OpenPod> {
  const pod = await DataPod.open(options);
  const assignments = new Assignments({ ...options, pod });
  return {
    pod,
    assignments,
    service: new LocalPodService(pod, assignments),
    async close() {
      await assignments.close();
      await pod.close();
    },
  };
}
