/** What the operator reads of objects of Kubernetes: the fields that it decides by, as they stand in JSON. */

import { isDeepStrictEqual } from 'node:util';
import type { OwnerReference } from '../../pods/metadata/objects.ts';

export interface SeenMetadata {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
}

export interface SeenObject {
  readonly metadata: SeenMetadata;
}

export interface SeenCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}

export interface SeenPod extends SeenObject {
  readonly spec: {
    readonly nodeName?: string;
    readonly containers: readonly { readonly name: string; readonly image?: string }[];
    readonly terminationGracePeriodSeconds?: number;
  };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly SeenCondition[];
    readonly containerStatuses?: readonly { readonly name: string; readonly ready: boolean; readonly restartCount: number; readonly state?: { readonly waiting?: { readonly reason?: string; readonly message?: string } } }[];
  };
}

export interface SeenStatefulSet extends SeenObject {
  readonly spec: {
    readonly replicas?: number;
    readonly template: { readonly metadata?: { readonly labels?: Readonly<Record<string, string>>; readonly annotations?: Readonly<Record<string, string>> }; readonly spec: unknown };
    readonly volumeClaimTemplates?: readonly SeenClaimTemplate[];
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly readyReplicas?: number;
    readonly currentRevision?: string;
    readonly updateRevision?: string;
  };
}

export interface SeenClaimTemplate {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly storageClassName?: string; readonly accessModes?: readonly string[]; readonly resources?: { readonly requests?: { readonly storage?: string } } };
}

export interface SeenClaim extends SeenObject {
  readonly spec: SeenClaimTemplate['spec'] & { readonly volumeName?: string };
  readonly status?: { readonly phase?: string; readonly capacity?: { readonly storage?: string }; readonly conditions?: readonly SeenCondition[] };
}

export interface SeenNode extends SeenObject {
  readonly spec?: { readonly unschedulable?: boolean; readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[] };
  readonly status?: { readonly conditions?: readonly SeenCondition[] };
}

export interface SeenJob extends SeenObject {
  readonly spec: { readonly template: unknown };
  readonly status?: { readonly active?: number; readonly succeeded?: number; readonly failed?: number; readonly conditions?: readonly SeenCondition[] };
}

export interface SeenSecret extends SeenObject {
  readonly type?: string;
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>;
}

/** A node says several times a minute that it lives: apart from that. */
export function isSameNode(a: SeenNode | undefined, b: SeenNode | undefined): boolean {
  return isDeepStrictEqual(a === undefined ? a : ofNode(a), b === undefined ? b : ofNode(b));
}

function ofNode({ metadata: { uid, labels, deletionTimestamp }, spec, status }: SeenNode): object {
  const conditions = status?.conditions?.map(({ type, status, lastTransitionTime }) => ({ type, status, lastTransitionTime }));
  return { uid, labels, deletionTimestamp, unschedulable: spec?.unschedulable, taints: spec?.taints, conditions };
}

export function isTrue(conditions: readonly SeenCondition[] | undefined, type: string): boolean {
  return conditions?.some((condition) => condition.type === type && condition.status === 'True') === true;
}

export function isGoing({ metadata }: SeenObject): boolean {
  return metadata.deletionTimestamp !== undefined;
}
