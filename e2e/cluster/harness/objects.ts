/** What suites look at in objects of Kubernetes. */

import type { TestCluster } from './connect.ts';
import { clusterTimeoutsMs, waitUntil } from './wait.ts';

export interface Pod {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly uid: string; readonly deletionTimestamp?: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec: { readonly nodeName?: string };
  readonly status: { readonly phase?: string; readonly podIP?: string; readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[] };
}

export async function podsOf(cluster: TestCluster, namespace: string, selector: string): Promise<readonly Pod[]> {
  return (await cluster.kubectlJson<{ items: readonly Pod[] }>(['get', 'pods', '-n', namespace, '-l', selector])).items;
}

export function isReady(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp === undefined && pod.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
}

/** Waits until `count` pods are Ready; a failure says what each of them waits for. */
export function readyPods(cluster: TestCluster, namespace: string, selector: string, count: number): Promise<readonly Pod[]> {
  return waitUntil(`${count} pods ${selector} to be Ready`, clusterTimeoutsMs.podReady, async () => {
    const pods = await podsOf(cluster, namespace, selector);
    if (pods.length === count && pods.every(isReady)) return { value: pods };
    return `there are ${pods.length}: ${pods.map((pod) => `${pod.metadata.name} ${isReady(pod) ? 'Ready' : whyNot(pod)}`).join('; ')}`;
  });
}

function whyNot({ status }: Pod): string {
  const reasons = status.conditions?.filter(({ status: value }) => value !== 'True').map(({ type, message }) => `not ${type}${message === undefined ? '' : ` (${message})`}`) ?? [];
  return [status.phase ?? 'without phase', ...reasons].join(', ');
}
