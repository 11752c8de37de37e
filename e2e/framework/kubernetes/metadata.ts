/** Cluster metadata for suites: clients that end with the test, in namespaces of a test's own. */

import { randomBytes } from 'node:crypto';
import { kubeEndpoint } from '../../../pods/kube/endpoint.ts';
import { systemClock } from '../../../pods/kernel/clock.ts';
import { processLogger } from '../../../pods/kernel/logger.ts';
import { systemRandom } from '../../../pods/kernel/random.ts';
import { openKubeMetadata, type KubeMetadata, type KubeMetadataOptions } from '../../../pods/metadata/kube-metadata.ts';
import { atEnd, type Owner } from '../cleanup.ts';
import type { Kubernetes } from './kubernetes.ts';

export async function metadataOf(t: Owner, kubeconfig: string, options: Partial<KubeMetadataOptions> = {}): Promise<KubeMetadata> {
  const endpoint = await kubeEndpoint({ kubeconfig });
  const metadata = openKubeMetadata({ endpoint, clock: systemClock, random: systemRandom, logger: processLogger('error'), ...options });
  atEnd(t, () => metadata.close());
  return metadata;
}

/** An empty namespace. */
export async function namespaceFor(kubernetes: Kubernetes): Promise<string> {
  const name = `test-${randomBytes(6).toString('hex')}`;
  await kubernetes.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  return name;
}
