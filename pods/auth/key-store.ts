/**
 * API keys as records `key/<prefix>`; only hashes are stored. All keys (at most `limits.apiKeyCountMax`) are kept in
 * memory and read anew when they are `limits.keyCacheMs` old: that is how long a key revoked through another process may
 * live on. What this process creates or deletes counts at once. A flood of invented keys reads nothing from the store.
 */

import assert from 'node:assert/strict';
import type { Action, RequestContext } from '../api/context.ts';
import type { RecordStore } from '../api/records.ts';
import type { KeyApi, KeyDescription, KeyInput } from '../api/vector-api.ts';
import type { Clock } from '../kernel/clock.ts';
import { startDeadline } from '../kernel/deadline.ts';
import { ShoalError, hasCode } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Random } from '../kernel/random.ts';
import { noSpan } from '../kernel/span.ts';
import { hashApiKey, makeApiKey } from './api-key.ts';

export const allActions: readonly Action[] = ['read', 'write', 'admin'];

export interface StoredKey {
  readonly description: KeyDescription;
  readonly hash: Uint8Array;
}

export interface KeyStore extends KeyApi {
  /** No promise while the keys in memory are fresh enough. */
  find(prefix: string): StoredKey | undefined | Promise<StoredKey | undefined>;
  count(): Promise<number>;
}

export interface KeyStoreOptions {
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly random: Random;
}

const recordPrefix = 'key/';
const scanPageCount = 256;

export function createKeyStore({ records, clock, random }: KeyStoreOptions): KeyStore {
  let keys = new Map<string, StoredKey>();
  let loadedAtMs = -Infinity;
  let loading: Promise<void> | undefined;
  /** What happened through this process while a load was under way, to be repeated on its result. */
  let changesMeanwhile: ((target: Map<string, StoredKey>) => void)[] = [];

  const change = (apply: (target: Map<string, StoredKey>) => void): void => {
    apply(keys);
    if (loading !== undefined) changesMeanwhile.push(apply);
  };

  const load = async (): Promise<void> => {
    const startedMs = clock.monotonicMs();
    const deadline = startDeadline(clock, limits.requestTimeoutMsDefault);
    try {
      const loaded = await readAll(records, systemContext(deadline.signal));
      for (const apply of changesMeanwhile) apply(loaded);
      keys = loaded;
      loadedAtMs = startedMs;
    } finally {
      deadline.settle();
      changesMeanwhile = [];
      loading = undefined;
    }
  };
  const refresh = (): Promise<void> => (loading ??= load());

  /** Undefined when the keys in memory may be used as they are. */
  const fresh = (): Promise<void> | undefined => {
    const ageMs = clock.monotonicMs() - loadedAtMs;
    if (ageMs >= limits.keyCacheMs) return refresh();
    // Read ahead of time, so that no request has to wait. A failure shows when the keys are too old.
    if (ageMs >= limits.keyCacheMs / 2) refresh().catch(() => undefined);
    return undefined;
  };

  return {
    find(prefix) {
      const wait = fresh();
      return wait === undefined ? keys.get(prefix) : wait.then(() => keys.get(prefix));
    },

    async count() {
      await fresh();
      return keys.size;
    },

    async create(context, input) {
      checkKeyInput(input, clock.nowMs());
      await fresh();
      if (keys.size >= limits.apiKeyCountMax) {
        throw new ShoalError('INVALID_ARGUMENT', `there are ${limits.apiKeyCountMax} API keys, which is the limit; delete some`, { details: { limit: limits.apiKeyCountMax } });
      }
      for (;;) {
        const { prefix, key } = makeApiKey(random);
        const stored: StoredKey = { description: { ...input, prefix, createdAtMs: clock.nowMs() }, hash: hashApiKey(key) };
        try {
          await records.put(context, recordPrefix + prefix, encode(stored), 0);
        } catch (error) {
          if (hasCode(error, 'CONFLICT')) continue; // the prefix is taken
          throw error;
        }
        change((target) => target.set(prefix, stored));
        return { secret: key, key: stored.description };
      }
    },

    async list() {
      await fresh();
      return [...keys.values()].map(({ description }) => description).sort((a, b) => a.createdAtMs - b.createdAtMs || (a.prefix < b.prefix ? -1 : 1));
    },

    async delete(context, prefix) {
      const existed = await records.delete(context, recordPrefix + prefix);
      change((target) => target.delete(prefix));
      if (!existed) throw keyNotFound(prefix);
    },
  };
}

export function keyNotFound(prefix: string): ShoalError {
  return new ShoalError('KEY_NOT_FOUND', `no API key has the prefix "${prefix.slice(0, 32)}"`);
}

function checkKeyInput(input: KeyInput, nowMs: number): void {
  const nameBytes = Buffer.byteLength(input.name);
  if (nameBytes === 0 || nameBytes > limits.apiKeyNameBytesMax) {
    throw new ShoalError('INVALID_NAME', `the name of a key has 1 to ${limits.apiKeyNameBytesMax} bytes, this one ${nameBytes}`, { details: { limit: limits.apiKeyNameBytesMax } });
  }
  if (input.actions.length === 0) throw new ShoalError('INVALID_ARGUMENT', `actions is empty; it names one or more of ${allActions.join(', ')}`);
  const odd = input.actions.find((action) => !allActions.includes(action));
  if (odd !== undefined) throw new ShoalError('INVALID_ARGUMENT', `actions has "${String(odd)}"; it names one or more of ${allActions.join(', ')}`);
  if (input.collections !== 'all') {
    if (input.collections.length === 0) throw new ShoalError('INVALID_ARGUMENT', 'collections is empty; it names one or more, or is all');
    if (input.collections.length > limits.apiKeyCollectionCountMax) {
      throw new ShoalError('INVALID_ARGUMENT', `a key names at most ${limits.apiKeyCollectionCountMax} collections`, { details: { limit: limits.apiKeyCollectionCountMax } });
    }
    for (const name of input.collections) {
      if (name === '' || Buffer.byteLength(name) > limits.collectionNameBytesMax) throw new ShoalError('INVALID_NAME', 'collections has a name that is empty or too long');
    }
  }
  if (input.expiresAtMs !== undefined && !(input.expiresAtMs > nowMs)) throw new ShoalError('INVALID_ARGUMENT', 'expiresAtMs lies in the past');
}

async function readAll(records: RecordStore, context: RequestContext): Promise<Map<string, StoredKey>> {
  const keys = new Map<string, StoredKey>();
  let after: string | undefined;
  for (;;) {
    const page = await records.scan(context, recordPrefix, after === undefined ? { limit: scanPageCount } : { after, limit: scanPageCount });
    for (const record of page) {
      const stored = decode(record.key, record.value);
      keys.set(stored.description.prefix, stored);
    }
    if (page.length < scanPageCount) return keys;
    after = page.at(-1)!.key;
  }
}

function systemContext(signal: AbortSignal): RequestContext {
  return { requestId: 'keys', identity: { subject: 'system', actions: allActions, collections: 'all' }, signal, span: noSpan };
}

function encode({ description, hash }: StoredKey): Uint8Array {
  return Buffer.from(JSON.stringify({ ...description, hash: Buffer.from(hash).toString('base64') }));
}

function decode(key: string, value: Uint8Array): StoredKey {
  try {
    const { hash, ...description } = JSON.parse(Buffer.from(value).toString()) as KeyDescription & { hash: string };
    assert.equal(recordPrefix + description.prefix, key);
    return { description, hash: Buffer.from(hash, 'base64') };
  } catch (cause) {
    throw new ShoalError('CORRUPTION', `the record of an API key cannot be read`, { details: { record: key }, cause });
  }
}
