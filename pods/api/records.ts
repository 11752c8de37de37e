/**
 * Ordered records in the system collection: where keys and feedback live. A port, so that `pods/auth` and the router's
 * own features do not know how the system shard stores them.
 */

import type { RequestContext } from './context.ts';

export interface StoredRecord {
  readonly key: string;
  readonly value: Uint8Array;
  readonly version: number;
}

export interface RecordStore {
  get(context: RequestContext, key: string): Promise<StoredRecord | undefined>;
  /** `expectedVersion` 0 means "must not exist"; CONFLICT when it does not hold. Durable when it resolves. */
  put(context: RequestContext, key: string, value: Uint8Array, expectedVersion?: number): Promise<{ version: number }>;
  /** Resolves to whether there was one. */
  delete(context: RequestContext, key: string): Promise<boolean>;
  /** Records whose key begins with `prefix` and is greater than `after`, in key order, at most `limit`. */
  scan(context: RequestContext, prefix: string, page: { after?: string; limit: number }): Promise<readonly StoredRecord[]>;
}
