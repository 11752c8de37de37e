/** The command line in a pod of its own, against the gateways of an installation: where there is no ingress to reach them by. */

import { randomBytes } from 'node:crypto';
import type { TestCluster } from './connect.ts';
import type { Installation } from './installation.ts';
import type { Pod } from './objects.ts';
import { clusterTimeoutsMs, waitUntil } from './wait.ts';

/** What it printed; a failure says what it said. */
export async function runShoal(cluster: TestCluster, { namespace, apiKey }: Pick<Installation, 'namespace' | 'apiKey'>, args: readonly string[]): Promise<string> {
  const name = `shoal-cli-${randomBytes(4).toString('hex')}`;
  const env = [
    { name: 'SHOAL_ADDRESS', value: 'shoal-gateway:50051' },
    { name: 'SHOAL_API_KEY', value: apiKey },
  ];
  const container = { name: 'shoal', image: cluster.image, imagePullPolicy: 'IfNotPresent', args, env };
  await cluster.apply([{ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { restartPolicy: 'Never', automountServiceAccountToken: false, containers: [container] } }], { namespace });
  try {
    const phase = await waitUntil(`shoal ${args.join(' ')} to end`, clusterTimeoutsMs.podReady, async () => {
      const { status } = await cluster.kubectlJson<Pod>(['get', 'pod', name, '-n', namespace]);
      return status.phase === 'Succeeded' || status.phase === 'Failed' ? { value: status.phase } : `its pod is ${status.phase}`;
    });
    const log = await cluster.kubectl(['logs', name, '-n', namespace]);
    if (phase === 'Failed') throw new Error(`shoal ${args.join(' ')}: ${log}`);
    return log;
  } finally {
    await cluster.kubectl(['delete', 'pod', name, '-n', namespace, '--wait=false']);
  }
}
