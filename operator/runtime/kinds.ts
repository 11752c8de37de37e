/** The kinds of objects that the operator reads and writes, and where the API server has them. */

export const kinds = {
  StatefulSet: { apiVersion: 'apps/v1', plural: 'statefulsets' },
  Service: { apiVersion: 'v1', plural: 'services' },
  PodDisruptionBudget: { apiVersion: 'policy/v1', plural: 'poddisruptionbudgets' },
  Pod: { apiVersion: 'v1', plural: 'pods' },
  PersistentVolumeClaim: { apiVersion: 'v1', plural: 'persistentvolumeclaims' },
  Node: { apiVersion: 'v1', plural: 'nodes' },
  Job: { apiVersion: 'batch/v1', plural: 'jobs' },
  Secret: { apiVersion: 'v1', plural: 'secrets' },
  Event: { apiVersion: 'v1', plural: 'events' },
  Lease: { apiVersion: 'coordination.k8s.io/v1', plural: 'leases' },
  VectorCollection: { apiVersion: 'shoal.dev/v1alpha1', plural: 'vectorcollections' },
  VectorPool: { apiVersion: 'shoal.dev/v1alpha1', plural: 'vectorpools' },
  VectorShard: { apiVersion: 'shoal.dev/v1alpha1', plural: 'vectorshards' },
  StorageClass: { apiVersion: 'storage.k8s.io/v1', plural: 'storageclasses' },
  CustomResourceDefinition: { apiVersion: 'apiextensions.k8s.io/v1', plural: 'customresourcedefinitions' },
} as const satisfies Record<string, { readonly apiVersion: string; readonly plural: string }>;

export type KindName = keyof typeof kinds;

const clusterScoped: readonly KindName[] = ['Node', 'StorageClass', 'CustomResourceDefinition'];

/** Of the collection, or of the object of this name. `namespace` counts where the kind has namespaces. */
export function pathOf(kind: KindName, namespace: string, name?: string): string {
  const { apiVersion, plural } = kinds[kind];
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const place = clusterScoped.includes(kind) ? '' : `/namespaces/${namespace}`;
  return `${root}${place}/${plural}${name === undefined ? '' : `/${name}`}`;
}
