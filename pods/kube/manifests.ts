/** Objects of a YAML file as they stand there: several documents, empty ones left out. */

// The client library's own reader renames fields that it has no type for, such as x-kubernetes-validations.
import { loadAll } from 'js-yaml';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

export function readManifests(text: string): Manifest[] {
  return (loadAll(text) as (Manifest | null | undefined)[]).filter((document) => document !== null && document !== undefined);
}
