/** From a credential to an identity. Whatever is wrong with a credential, the caller hears the same sentence. */

import type { Identity } from '../api/context.ts';
import type { Clock } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Counter, Metrics } from '../telemetry/metrics.ts';
import { hashApiKey, prefixOf, sameHash } from './api-key.ts';
import { allActions } from './key-store.ts';
import type { KeyStore, StoredKey } from './key-store.ts';

export interface Authenticator {
  /** No promise where nothing must be read. UNAUTHENTICATED, thrown or rejected. */
  authenticate(credential: string | undefined): Identity | Promise<Identity>;
}

export interface AuthenticatorOptions {
  readonly keys: Pick<KeyStore, 'find'>;
  /** From API_KEYS: any strings, with every right. */
  readonly givenKeys: readonly string[];
  readonly clock: Clock;
  readonly metrics: Metrics;
}

type Outcome = 'accepted' | 'missing' | 'malformed' | 'unknown' | 'wrong' | 'expired';

export function createAuthenticator({ keys, givenKeys, clock, metrics }: AuthenticatorOptions): Authenticator {
  const given = givenKeys.map((key, index) => ({ hash: hashApiKey(key), identity: identityWithAllRights(`given-${index + 1}`) }));
  const outcomes = new Map<Outcome, Counter>();
  const count = (outcome: Outcome): void => {
    let counter = outcomes.get(outcome);
    if (counter === undefined) outcomes.set(outcome, (counter = metrics.counter('credentialChecks', { outcome })));
    counter.add(1);
  };
  const refuse = (outcome: Outcome): ShoalError => {
    count(outcome);
    return new ShoalError('UNAUTHENTICATED', 'a valid API key is needed, as "Authorization: Bearer <key>" or "X-API-Key: <key>"');
  };
  const accept = (identity: Identity): Identity => {
    count('accepted');
    return identity;
  };
  const judge = (stored: StoredKey | undefined, hash: Buffer): Identity => {
    if (stored === undefined) throw refuse('unknown');
    if (!sameHash(stored.hash, hash)) throw refuse('wrong');
    const { prefix, actions, collections, expiresAtMs } = stored.description;
    if (expiresAtMs !== undefined && clock.nowMs() >= expiresAtMs) throw refuse('expired');
    return accept({ subject: prefix, actions, collections });
  };

  return {
    authenticate(credential) {
      if (credential === undefined || credential === '') throw refuse('missing');
      if (credential.length > limits.credentialBytesMax) throw refuse('malformed');
      const hash = hashApiKey(credential);
      // Every given key is compared, so that the time does not tell which one came near.
      let identity: Identity | undefined;
      for (const key of given) if (sameHash(key.hash, hash)) identity = key.identity;
      if (identity !== undefined) return accept(identity);
      const prefix = prefixOf(credential);
      if (prefix === undefined) throw refuse('malformed');
      const stored = keys.find(prefix);
      return stored instanceof Promise ? stored.then((found) => judge(found, hash)) : judge(stored, hash);
    },
  };
}

/** For `--no-auth`: everybody may do everything. */
export const openAuthenticator: Authenticator = { authenticate: () => anonymous };

const anonymous = identityWithAllRights('anonymous');

function identityWithAllRights(subject: string): Identity {
  return { subject, actions: allActions, collections: 'all' };
}

/** The key in `Authorization: Bearer <key>`, else in `X-API-Key`. */
export function credentialFrom(authorization: string | undefined, apiKey: string | undefined): string | undefined {
  if (authorization !== undefined && /^bearer /i.test(authorization)) return authorization.slice('bearer '.length).trim();
  return apiKey;
}
