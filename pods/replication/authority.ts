/** What the consensus store says of a shard, as its replicas see it. Rule G1 guards what may become of it. */

import type { Address, MemberId } from './messages.ts';

export interface Authority {
  readonly term: number;
  readonly primary: Address;
  readonly inSync: readonly MemberId[];
  /** Grows by one exactly when inSync changes. */
  readonly configVersion: number;
  readonly minInSync: number;
  /** Pods that shall hold a replica. */
  readonly replicas: readonly string[];
  /** Those of them that shall be taken out of inSync, so that they can be taken out of `replicas` (rule A2). */
  readonly leaving: readonly string[];
  /** Of the object that was read; compare for equality only. */
  readonly resourceVersion: string;
}

/** The shard's object in the consensus store, as far as its replicas read and write it. */
export interface AuthorityStore {
  /** A linearizable GET; undefined when the object is gone or has no authority yet. */
  read(signal: AbortSignal): Promise<Authority | undefined>;
  /**
   * Compare-and-swap of inSync; without `inSync`, of `status.nonce` alone, which moves the version. Any failure leaves
   * open whether it landed.
   */
  compareAndSwap(change: { readonly resourceVersion: string; readonly inSync?: readonly MemberId[]; readonly configVersion: number }, signal: AbortSignal): Promise<Authority>;
}

export function sameMember(a: MemberId, b: MemberId): boolean {
  return a.pod === b.pod && a.incarnation === b.incarnation;
}

export function includesMember(members: readonly MemberId[], member: MemberId): boolean {
  return members.some((other) => sameMember(other, member));
}

/** Whether `a` was written after `b`: terms and configVersions never fall (rule G1). */
export function isNewer(a: Authority, b: Authority | undefined): boolean {
  return b === undefined || a.term > b.term || (a.term === b.term && a.configVersion > b.configVersion);
}

/** Whether this authority has the member in sync. */
export function isInSync(authority: Authority | undefined, member: MemberId): boolean {
  return authority !== undefined && includesMember(authority.inSync, member);
}
