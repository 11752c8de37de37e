/** The key of the first start: without it nobody could make one. */

import { noSpan } from '../kernel/span.ts';
import { allActions } from './key-store.ts';
import type { KeyStore } from './key-store.ts';

/** The new key with every right, to be printed once; undefined when there is a key already. */
export async function ensureFirstKey(keys: KeyStore, givenKeys: readonly string[], signal: AbortSignal): Promise<string | undefined> {
  if (givenKeys.length > 0 || (await keys.count()) > 0) return undefined;
  const identity = { subject: 'first-start', actions: allActions, collections: 'all' } as const;
  const { secret } = await keys.create({ requestId: 'first-start', identity, signal, span: noSpan }, { name: 'first start', actions: allActions, collections: 'all' });
  return secret;
}
