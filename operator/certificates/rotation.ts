/**
 * What is to be done about the internal authority and the certificates that it issues, why, and when to look again. Pure.
 *
 * An authority is replaced in steps, so that at any moment everybody trusts every certificate in use:
 *
 *     authority          certificates (leaves)            what everybody trusts
 *     current            from current                     current
 *     current, next      from current                     current, next        next is made, and goes into every bundle
 *       … overlap: every process has read that bundle …
 *     previous, current  from previous, then from current previous, current    next becomes current, leaves are issued anew
 *       … overlap: every process uses its new certificate …
 *     current            from current                     current              previous goes
 *
 * All state is in the Secrets. Each step is one compare-and-swap, and is found done by whoever looks next.
 */

import type { Lifetime } from './x509.ts';

export interface AuthorityFacts extends Lifetime {
  readonly fingerprint: string;
}

export interface AuthoritySecretFacts {
  /** Issues. Missing only where what was there before was lost. */
  readonly current: AuthorityFacts | undefined;
  /** Will issue. */
  readonly next: AuthorityFacts | undefined;
  /** Have issued, and are trusted a while longer. */
  readonly previous: readonly AuthorityFacts[];
  /** Since when `next` has been in all bundles. */
  readonly distributedAtMs: number | undefined;
  /** Since when, while there is a previous one, all certificates have come from `current`. */
  readonly issuedAtMs: number | undefined;
  /** A human wants another authority. */
  readonly isRotationAsked: boolean;
}

export interface LeafFacts {
  readonly secret: string;
  readonly state:
    | { readonly kind: 'absent' }
    /** It is there, and not the operator's. */
    | { readonly kind: 'foreign' }
    /** It cannot be used; `why` completes "its …". */
    | { readonly kind: 'damaged'; readonly why: string }
    | (Lifetime & {
        readonly kind: 'present';
        readonly fingerprint: string;
        /** Undefined: none of those in the authority's Secret. */
        readonly issuer: string | undefined;
        /** Fingerprints. */
        readonly bundle: readonly string[];
        /** Of the bundle, whatever is in the authority's Secret. */
        readonly hasNamesWanted: boolean;
      });
}

export interface RotationTimes {
  readonly leafMs: number;
  readonly authorityMs: number;
  /** After so long every process has taken up what is in its Secret. */
  readonly overlapMs: number;
}

export interface RotationFacts {
  readonly nowMs: number;
  /** `foreign`: there is a Secret of that name that is not the operator's. */
  readonly authority: AuthoritySecretFacts | 'absent' | 'foreign' | 'damaged';
  readonly leaves: readonly LeafFacts[];
  readonly times: RotationTimes;
}

export type AuthorityAction =
  /** Nothing else uses one yet. */
  | 'create'
  /** The last one was lost: a new one that issues once it was distributed, beside those that the bundles still have. */
  | 'create-beside-lost'
  | 'add-next'
  | 'note-distributed'
  | 'promote-next'
  | 'note-issued'
  | 'drop-previous';

export type RotationStep =
  | { readonly step: 'authority'; readonly action: AuthorityAction; readonly because: string }
  /** A new key and certificate, with today's bundle. */
  | { readonly step: 'issue'; readonly secret: string; readonly because: string }
  /** The same certificate with today's bundle. */
  | { readonly step: 'bundle'; readonly secret: string; readonly because: string };

export interface RotationPlan {
  /** A step of the authority stands alone: what follows is decided on new facts. */
  readonly steps: readonly RotationStep[];
  /** What a human has to put right. */
  readonly refusals: readonly string[];
  /** When there is something to do again, as far as one knows. */
  readonly nextAtMs: number;
}

export const authoritySecret = 'shoal-internal-ca';

export function planRotation(facts: RotationFacts): RotationPlan {
  const refusals = refusalsOf(facts);
  const { authority } = facts;
  if (authority === 'foreign') return { steps: [], refusals, nextAtMs: Infinity };
  const first = authorityStep(facts);
  if (first !== undefined) return { steps: [{ step: 'authority', ...first }], refusals, nextAtMs: facts.nowMs };
  const steps = facts.leaves.flatMap((leaf) => leafStep(leaf, facts, authority as AuthoritySecretFacts));
  return { steps, refusals, nextAtMs: steps.length > 0 ? facts.nowMs : nextChangeMs(facts, authority as AuthoritySecretFacts) };
}

/** When a certificate is renewed: at two thirds of its life, or up to a tenth of it sooner, so that not all are renewed at once. */
export function renewalMs({ notBeforeMs, notAfterMs }: Lifetime, fingerprint: string): number {
  const lifeMs = notAfterMs - notBeforeMs;
  const chance = Number.parseInt(fingerprint.replaceAll(':', '').slice(0, 8), 16) / 2 ** 32;
  return Math.floor(notBeforeMs + lifeMs * (2 / 3 - chance / 10));
}

/** Its first minutes lie in the past, for clocks that are slow. */
export function lifetimeFrom(nowMs: number, lifeMs: number): Lifetime {
  return { notBeforeMs: nowMs - Math.min(3_600_000, lifeMs / 10), notAfterMs: nowMs + lifeMs };
}

function refusalsOf({ authority, leaves }: RotationFacts): string[] {
  const of = (secret: string): string => `Secret ${secret} is not the operator's (it has no label app.kubernetes.io/managed-by=shoal-operator), so it is left alone, and no certificates are issued into it`;
  return [...(authority === 'foreign' ? [of(authoritySecret)] : []), ...leaves.filter(({ state }) => state.kind === 'foreign').map(({ secret }) => of(secret))];
}

function authorityStep({ nowMs, authority, leaves, times }: RotationFacts): { readonly action: AuthorityAction; readonly because: string } | undefined {
  if (typeof authority === 'string') {
    const lost = authority === 'damaged' ? `the keys in Secret ${authoritySecret} cannot be used` : `Secret ${authoritySecret} is gone`;
    if (leaves.some(({ state }) => state.kind === 'present')) return { action: 'create-beside-lost', because: `${lost}, and certificates of the authority before are in use` };
    return { action: 'create', because: authority === 'damaged' ? lost : 'there is no internal authority yet' };
  }
  const { current, next, previous, distributedAtMs, issuedAtMs, isRotationAsked } = authority;
  if (next !== undefined) {
    if (current !== undefined && current.notAfterMs <= nowMs) return { action: 'promote-next', because: 'the authority that issued the certificates in use has expired' };
    const isDistributed = leaves.every(({ state }) => state.kind === 'present' && state.bundle.includes(next.fingerprint));
    if (distributedAtMs === undefined) return isDistributed ? { action: 'note-distributed', because: 'the next authority is in every bundle' } : undefined;
    if (nowMs >= distributedAtMs + times.overlapMs) return { action: 'promote-next', because: `the next authority has been in every bundle since ${instant(distributedAtMs)}` };
    return undefined;
  }
  if (previous.length > 0) {
    const areIssued = leaves.every(({ state }) => state.kind === 'present' && state.issuer === current?.fingerprint);
    if (issuedAtMs === undefined) return areIssued ? { action: 'note-issued', because: 'every certificate comes from the new authority' } : undefined;
    if (nowMs >= issuedAtMs + times.overlapMs) return { action: 'drop-previous', because: `every certificate has come from the new authority since ${instant(issuedAtMs)}` };
    return undefined;
  }
  if (isRotationAsked) return { action: 'add-next', because: `another authority was asked for by annotation` };
  if (current !== undefined && nowMs >= renewalMs(current, current.fingerprint)) return { action: 'add-next', because: `the authority expires at ${instant(current.notAfterMs)}` };
  return undefined;
}

function leafStep({ secret, state }: LeafFacts, { nowMs, times }: RotationFacts, { current, next, previous }: AuthoritySecretFacts): RotationStep[] {
  const issue = (because: string): RotationStep[] => [{ step: 'issue', secret, because }];
  switch (state.kind) {
    case 'foreign':
      return [];
    case 'absent':
      return issue('there is none yet');
    case 'damaged':
      return issue(`its ${state.why}`);
    case 'present': {
      const trusted = [current, next, ...previous].flatMap((each) => (each === undefined ? [] : [each.fingerprint]));
      const dueMs = renewalMs(state, state.fingerprint);
      if (!state.hasNamesWanted) return issue('its names are not those of its role');
      if (state.issuer === undefined) return issue('its authority is none that is trusted');
      // Before the new authority is everywhere, what it issues is trusted by some only: as late as possible then.
      if (current === undefined && state.issuer !== next?.fingerprint) {
        if (nowMs >= state.notAfterMs - times.overlapMs && nowMs >= dueMs) return issue(`it expires at ${instant(state.notAfterMs)}, and its authority was lost`);
      } else {
        if (current !== undefined && previous.some(({ fingerprint }) => fingerprint === state.issuer)) return issue('its authority has been replaced');
        if (nowMs >= dueMs) return issue(`it expires at ${instant(state.notAfterMs)}`);
      }
      if (!isSameSet(state.bundle, trusted)) return [{ step: 'bundle', secret, because: 'the authorities to be trusted have changed' }];
      return [];
    }
  }
}

function nextChangeMs({ nowMs, leaves, times }: RotationFacts, { current, next, distributedAtMs, issuedAtMs, previous }: AuthoritySecretFacts): number {
  const moments = leaves.flatMap(({ state }) => (state.kind === 'present' ? [renewalMs(state, state.fingerprint)] : []));
  if (next !== undefined && distributedAtMs !== undefined) moments.push(distributedAtMs + times.overlapMs);
  if (next === undefined && previous.length > 0 && issuedAtMs !== undefined) moments.push(issuedAtMs + times.overlapMs);
  if (next === undefined && previous.length === 0 && current !== undefined) moments.push(renewalMs(current, current.fingerprint));
  return Math.min(Infinity, ...moments.filter((moment) => moment > nowMs));
}

function isSameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((each) => b.includes(each));
}

function instant(ms: number): string {
  return new Date(ms).toISOString();
}
