/** Names and labels by which the operator's objects are found. Other programs know some of them: see docs/operator.md. */

import type { OwnerReference } from '../../pods/metadata/objects.ts';

export const managedByLabel = 'app.kubernetes.io/managed-by';
export const operatorName = 'shoal-operator';
/** What an object carries that the operator has made: it watches these alone. */
export const managedSelector = `${managedByLabel}=${operatorName}`;

export const poolLabel = 'shoal.dev/pool';
export const roleLabel = 'shoal.dev/role';
export const dataPodRole = 'data-pod';

/** The headless Service of all data pods of a namespace: `<pod>.shoal-pods.<namespace>.svc` reaches each by its name. */
export const podsService = 'shoal-pods';
/** Under which data pods run; rule G1's policy knows them by it. */
export const podServiceAccount = 'shoal-pod';
export const containerName = 'shoal';
export const dataVolume = 'data';
export const internalPort = 7600;
export const statusPort = 8081;

/** A readiness gate of data pods: true only while all of a pod's replicas are in sync. */
export const inSyncGate = 'shoal.dev/in-sync';
/** On a collection or pool, with the value `true`: the operator leaves it as it is. */
export const pausedAnnotation = 'shoal.dev/paused';

/** The pool where collections go that were made through a gateway. */
export const defaultPool = 'default';

/** The Secret with `tls.crt`, `tls.key` and `ca.crt` that data pods know each other by (operator/certificates). */
export const internalTlsSecret = 'shoal-pod-internal-tls';
export const internalTlsDirectory = '/etc/shoal/internal-tls';

/** What selects a pool's pods; it never changes, since a StatefulSet's selector cannot. */
export function podSelector(pool: string): Record<string, string> {
  return { [roleLabel]: dataPodRole, [poolLabel]: pool };
}

/** `<pool>-<ordinal>`, as a StatefulSet names its pods; undefined for pods of another pool. */
export function ordinalOf(pool: string, pod: string): number | undefined {
  const rest = pod.startsWith(`${pool}-`) ? pod.slice(pool.length + 1) : '';
  return /^(0|[1-9]\d{0,9})$/.test(rest) ? Number(rest) : undefined;
}

export function objectLabels(pool: string): Record<string, string> {
  return { ...podSelector(pool), [managedByLabel]: operatorName, 'app.kubernetes.io/name': 'shoal', 'app.kubernetes.io/component': dataPodRole };
}

/** `selector` as the scale subresource and list requests want it. */
export function selectorText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels).map(([name, value]) => `${name}=${value}`).sort().join(',');
}

export interface Owner {
  readonly metadata: { readonly name: string; readonly uid: string };
}

/** With its owner the object goes, by Kubernetes' garbage collector. */
export function ownedBy(kind: 'VectorCollection' | 'VectorPool', { metadata }: Owner, { isController = true }: { readonly isController?: boolean } = {}): OwnerReference {
  return { apiVersion: 'shoal.dev/v1alpha1', kind, name: metadata.name, uid: metadata.uid, ...(isController ? { controller: true, blockOwnerDeletion: true } : {}) };
}
