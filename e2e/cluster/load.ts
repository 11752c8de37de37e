/** Brings the project's image, as the working tree has it now, onto all nodes of a cluster. */

import { ClusterError } from './cluster-error.ts';
import { say } from './command.ts';
import type { Cluster } from './description.ts';
import { importImage } from './images/import.ts';
import { shoalImage } from './images/shoal-image.ts';
import { isRunning } from './processes.ts';

/** The reference by which pods name it, with `imagePullPolicy: Never` or `IfNotPresent`. */
export async function load(cluster: Cluster, tag: string | undefined): Promise<string> {
  const { reference, file } = await shoalImage(tag);
  const name = reference.replace('docker.io/library/', '');
  for (const node of cluster.nodes) {
    if (!isRunning(cluster, `${node.name}-containerd`)) throw new ClusterError(`containerd of ${node.name} does not run; npm run cluster -- up mends it`);
    say((await importImage(node, file, reference)) ? `${node.name}: imported ${name}` : `${node.name}: has ${name} already`);
  }
  return name;
}
