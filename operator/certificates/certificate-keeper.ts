/**
 * Keeps the internal authority and its certificates as rotation.ts plans them: reads the Secrets, takes the steps, looks
 * again. Only the operator may read the authority's Secret; the others are mounted by who they are for.
 *
 * Two operators at a time do no harm: whatever is written replaces the version that was read. Certificates are read before
 * the authority, so that none is ever issued from an authority that is older than the certificate it replaces.
 */

import { randomBytes, type X509Certificate } from 'node:crypto';
import type { Clock, Timer } from '../../pods/kernel/clock.ts';
import { hasCode } from '../../pods/kernel/errors.ts';
import { limits } from '../../pods/kernel/limits.ts';
import type { Logger } from '../../pods/kernel/logger.ts';
import type { SeenSecret } from '../observe/objects.ts';
import { certificateSecret, certifiedRoles, leafRequest, type CertifiedRole } from './roles.ts';
import { authoritySecret, lifetimeFrom, planRotation, type AuthorityAction, type RotationFacts, type RotationStep, type RotationTimes } from './rotation.ts';
import {
  authorityFacts,
  authorityMaterial,
  authoritySecretContent,
  bundleIn,
  certifiedKeyIn,
  distributedAtAnnotation,
  isOurs,
  issuedAtAnnotation,
  leafSecretContent,
  leafState,
  rotateAnnotation,
  textOf,
  type AuthorityMaterial,
  type SecretContent,
} from './secrets.ts';
import { makeAuthority, makeLeaf, type CertifiedKey } from './x509.ts';

/** Linearizable reads, and writes that are compare-and-swaps: CONFLICT where another one was faster. */
export interface SecretStore {
  read(name: string): Promise<SeenSecret | undefined>;
  create(secret: SecretContent): Promise<void>;
  /** `secret` carries the resourceVersion that was read. */
  replace(secret: SecretContent): Promise<void>;
}

export interface CertificateKeeperOptions {
  readonly store: SecretStore;
  readonly namespace: string;
  readonly times: RotationTimes;
  readonly clock: Clock;
  readonly logger: Logger;
  /** After each look that ended well: what the operator itself is to use, PEM. */
  onLooked?(looked: Looked): void;
}

export interface Looked {
  /** Of the role `operator`; undefined while there is none, which a human has to put right. */
  readonly own: { readonly certificate: string; readonly key: string; readonly authorities: string } | undefined;
  /** When the authority that issues expires. */
  readonly authorityExpiresAtMs: number | undefined;
  readonly nextAtMs: number;
  /** What a human has to put right. */
  readonly refusals: readonly string[];
}

/** Creation, every step of a rotation and all certificates take fewer. */
const roundCountMax = 12;

interface Seen {
  readonly leaves: ReadonlyMap<CertifiedRole, SeenSecret | undefined>;
  readonly authority: SeenSecret | undefined;
  /** Undefined where there is none that can be used. */
  readonly material: AuthorityMaterial | undefined;
  readonly facts: RotationFacts;
}

export class CertificateKeeper {
  readonly #options: CertificateKeeperOptions;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;
  #failureCount = 0;
  #warnedOf = '';

  constructor(options: CertificateKeeperOptions) {
    this.#options = options;
  }

  /** Looks from now on, again and again; the promise is that of the first look that ended well. */
  start(): Promise<void> {
    return new Promise((resolve) => {
      const again = (): void => {
        if (this.#isClosed) return;
        this.#running = this.#lookAndSchedule(resolve, again);
      };
      again();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#running;
  }

  /** Does all that there is to do now. */
  async look(): Promise<Looked> {
    for (let round = 1; ; round++) {
      const seen = await this.#read();
      const { steps, refusals, nextAtMs } = planRotation(seen.facts);
      if (steps.length === 0 || round === roundCountMax) {
        const own = seen.leaves.get('operator');
        const issuing = seen.material?.current ?? seen.material?.next;
        return {
          own: own === undefined || !isOurs(own) ? undefined : { ...certifiedKeyIn(own), authorities: textOf(own, 'ca.crt') ?? '' },
          authorityExpiresAtMs: issuing?.x509.validToDate.getTime(),
          nextAtMs,
          refusals,
        };
      }
      for (const step of steps) await this.#take(step, seen);
    }
  }

  async #lookAndSchedule(first: () => void, again: () => void): Promise<void> {
    const { clock, logger, onLooked } = this.#options;
    let pauseMs: number;
    try {
      const looked = await this.look();
      this.#failureCount = 0;
      this.#warn(looked.refusals);
      onLooked?.(looked);
      first();
      pauseMs = Math.min(limits.certificateLookMsMax, Math.max(limits.certificateLookMs, looked.nextAtMs - clock.nowMs()));
    } catch (error) {
      this.#failureCount++;
      logger.warn({ error }, 'the internal certificates could not be looked after; trying again');
      pauseMs = Math.min(limits.certificateLookMsMax, limits.certificateLookMs * 2 ** Math.min(this.#failureCount, 16));
    }
    if (!this.#isClosed) this.#timer = clock.after(pauseMs, again);
  }

  async #read(): Promise<Seen> {
    const { store, namespace, clock, times } = this.#options;
    const secrets = await Promise.all(certifiedRoles.map(async (role) => [role, await store.read(certificateSecret(role))] as const));
    const leaves = new Map(secrets);
    const authority = await store.read(authoritySecret);
    const material = authority === undefined || !isOurs(authority) ? undefined : authorityMaterial(authority);
    const usable = material === 'damaged' ? undefined : material;
    const known = authority === undefined ? 'absent' : !isOurs(authority) ? 'foreign' : usable === undefined ? 'damaged' : authorityFacts(usable, authority);
    return {
      leaves,
      authority,
      material: usable,
      facts: {
        nowMs: clock.nowMs(),
        authority: known,
        leaves: secrets.map(([role, secret]) => ({ secret: certificateSecret(role), state: leafState(secret, leafRequest(role, namespace), usable) })),
        times,
      },
    };
  }

  /** A CONFLICT is no failure: what the other one wrote is seen by the next round. */
  async #take(step: RotationStep, seen: Seen): Promise<void> {
    const { logger } = this.#options;
    try {
      if (step.step === 'authority') await this.#write(this.#changedAuthority(step.action, seen), seen.authority);
      else await this.#writeLeaf(step, seen);
      logger.info({ ...step }, 'the internal certificates were changed');
    } catch (error) {
      if (!hasCode(error, 'CONFLICT')) throw error;
      logger.info({ ...step }, 'another operator was faster');
    }
  }

  async #writeLeaf({ step, secret: name }: RotationStep & { readonly secret: string }, { leaves, material }: Seen): Promise<void> {
    const role = certifiedRoles.find((each) => certificateSecret(each) === name)!;
    const before = leaves.get(role);
    const certified = step === 'bundle' ? certifiedKeyIn(before!) : this.#issue(role, material!);
    await this.#write(leafSecretContent(name, certified, material!, before), before);
  }

  #issue(role: CertifiedRole, { current, next }: AuthorityMaterial): CertifiedKey {
    const { namespace, clock, times } = this.#options;
    const issuer = current ?? next!;
    const wanted = lifetimeFrom(clock.nowMs(), times.leafMs);
    // Never longer than its authority: it would be good for nothing then, and looked good.
    const lifetime = { ...wanted, notAfterMs: Math.min(wanted.notAfterMs, issuer.x509.validToDate.getTime()) };
    return makeLeaf(leafRequest(role, namespace), lifetime, issuer);
  }

  #changedAuthority(action: AuthorityAction, { leaves, authority, material }: Seen): SecretContent {
    const { clock, times, namespace } = this.#options;
    const now = new Date(clock.nowMs()).toISOString();
    const { current, next, previous = [] } = material ?? {};
    const made = (): CertifiedKey => makeAuthority(`shoal ${namespace.slice(0, 40)} ${randomBytes(4).toString('hex')}`, lifetimeFrom(clock.nowMs(), times.authorityMs));
    const written = (content: { current?: CertifiedKey | undefined; next?: CertifiedKey | undefined; previous?: readonly X509Certificate[] }, annotations: Readonly<Record<string, string>> = {}): SecretContent =>
      authoritySecretContent(authoritySecret, { current: content.current, next: content.next, previous: content.previous ?? [] }, annotations, authority);
    const asked = authority?.metadata.annotations?.[rotateAnnotation];
    const stillAsked = asked === undefined ? {} : { [rotateAnnotation]: asked };
    switch (action) {
      case 'create':
        return written({ current: made() });
      case 'create-beside-lost': {
        const lost = [...leaves.values()].flatMap((secret) => (secret === undefined || !isOurs(secret) ? [] : bundleIn(secret)));
        return written({ next: made(), previous: [...new Map(lost.map((each) => [each.fingerprint256, each])).values()] });
      }
      case 'add-next':
        return written({ current, next: made(), previous });
      case 'note-distributed':
        return written({ current, next, previous }, { ...stillAsked, [distributedAtAnnotation]: now });
      case 'promote-next':
        return written({ current: next, previous: [...previous, ...(current === undefined ? [] : [current.x509])] }, stillAsked);
      case 'note-issued':
        return written({ current, previous }, { ...stillAsked, [issuedAtAnnotation]: now });
      case 'drop-previous':
        return written({ current }, stillAsked);
    }
  }

  async #write(secret: SecretContent, before: SeenSecret | undefined): Promise<void> {
    const { store } = this.#options;
    await (before === undefined ? store.create(secret) : store.replace(secret));
  }

  /** Once, until it changes. */
  #warn(refusals: readonly string[]): void {
    const text = refusals.join('; ');
    if (text !== '' && text !== this.#warnedOf) this.#options.logger.warn({ because: text }, 'the internal certificates need a human');
    this.#warnedOf = text;
  }
}
