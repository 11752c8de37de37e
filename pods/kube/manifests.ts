/** Objects of a YAML file, as Kubernetes reads it: several documents, empty ones left out. */

import { loadAllYaml } from '@kubernetes/client-node';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

export function readManifests(text: string): Manifest[] {
  return (loadAllYaml(text) as (Manifest | null | undefined)[]).filter((document) => document !== null && document !== undefined);
}
