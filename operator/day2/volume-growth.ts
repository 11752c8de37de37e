/**
 * Larger volumes. Claims are patched where they are; the StatefulSet, whose claim templates cannot change, is deleted without
 * its pods and made anew, so that pods to come get volumes of the new size. The new one takes the pods over, and since a
 * pod's revision does not depend on claim templates, none of them is replaced for it.
 */

import { quantityOf } from '../runtime/quantity.ts';

export interface VolumeFacts {
  /** What the pool wants each volume to have, such as 100Gi. */
  readonly size: string;
  readonly claims: readonly ClaimFacts[];
  readonly statefulSet?: { readonly uid: string; readonly claimSize?: string };
}

export interface ClaimFacts {
  readonly name: string;
  readonly uid: string;
  readonly requested: string;
  /** What its volume has; undefined until it is bound. */
  readonly capacity?: string;
  /** Whether its storage class lets volumes grow; undefined where that is not known. */
  readonly mayGrow?: boolean;
  /** Its storage class. */
  readonly storageClass?: string;
  /** What Kubernetes says of a growth that does not succeed. */
  readonly trouble?: string;
}

export type GrowthStep = { readonly because: string } & (
  | { readonly action: 'none' | 'wait' | 'refuse' }
  | { readonly action: 'grow'; readonly claims: readonly ClaimFacts[] }
  /** Delete the StatefulSet of this UID and leave its pods. */
  | { readonly action: 'remake'; readonly uid: string }
);

export function nextGrowthStep({ size, claims, statefulSet }: VolumeFacts): GrowthStep {
  const wanted = quantityOf(size);
  if (wanted === undefined) return { action: 'refuse', because: `storage size ${size} is no quantity` };
  const isLess = (text: string | undefined): boolean => text !== undefined && (quantityOf(text) ?? wanted) < wanted;
  const small = claims.filter(({ requested }) => isLess(requested));
  const stuck = small.filter(({ mayGrow }) => mayGrow === false);
  if (stuck.length > 0) {
    const [{ name, storageClass, requested }] = stuck as [ClaimFacts, ...ClaimFacts[]];
    return { action: 'refuse', because: `${size} are wanted, ${name} has ${requested}, and its storage class ${storageClass ?? '(none)'} does not let volumes grow (allowVolumeExpansion)` };
  }
  if (small.length > 0) return { action: 'grow', claims: small, because: `${small.map(({ name }) => name).join(', ')} shall have ${size}` };
  if (statefulSet !== undefined && isLess(statefulSet.claimSize)) return { action: 'remake', uid: statefulSet.uid, because: `volumes of new pods shall have ${size} instead of ${statefulSet.claimSize}` };
  const growing = claims.filter(({ capacity }) => isLess(capacity));
  const [first] = growing;
  if (first !== undefined) return { action: 'wait', because: `${growing.map(({ name }) => name).join(', ')} grows to ${size}${first.trouble === undefined ? '' : `: ${first.trouble}`}` };
  return { action: 'none', because: 'volumes are as large as they shall be' };
}
