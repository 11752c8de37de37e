/**
 * What each request of a shard is: who may answer it, whether it changes anything, whether it waits for a shard that has
 * no primary at the moment. The types see to it that none is forgotten.
 */

import type { ShardService } from '../domain/shard-service.ts';

export interface RequestKind {
  /** `by-consistency`: linearizable ones the primary, all others any replica in sync (rule R1). */
  readonly answeredBy: 'primary' | 'by-consistency';
  readonly effect: 'read' | 'write';
  /** `at-once`: a failure is what the caller wants to know. */
  readonly fails: 'after-retries' | 'at-once';
}

export const requestKinds: Readonly<Record<keyof ShardService, RequestKind>> = {
  write: { answeredBy: 'primary', effect: 'write', fails: 'after-retries' },
  deleteMatching: { answeredBy: 'primary', effect: 'write', fails: 'after-retries' },
  get: { answeredBy: 'by-consistency', effect: 'read', fails: 'after-retries' },
  scroll: { answeredBy: 'by-consistency', effect: 'read', fails: 'after-retries' },
  count: { answeredBy: 'by-consistency', effect: 'read', fails: 'after-retries' },
  search: { answeredBy: 'by-consistency', effect: 'read', fails: 'after-retries' },
  // Records are read linearizably: keys and feedback must not come from a replica that is behind.
  getRecord: { answeredBy: 'primary', effect: 'read', fails: 'after-retries' },
  scanRecords: { answeredBy: 'primary', effect: 'read', fails: 'after-retries' },
  describe: { answeredBy: 'primary', effect: 'read', fails: 'at-once' },
};
