/** All operations of the wire, by the name of their field. */

import { nudgeOperation, reportOperation, snapshotOperation, stopWritesOperation } from './pod-operations.ts';
import type { Operation, OperationName } from './operation.ts';
import {
  countOperation,
  deleteMatchingOperation,
  describeOperation,
  getOperation,
  getRecordOperation,
  scanRecordsOperation,
  scrollOperation,
  searchOperation,
  writeOperation,
} from './shard-operations.ts';

export const operations: { readonly [Name in OperationName]: Pick<Operation<never, unknown>, 'name' | 'serve'> } = {
  write: writeOperation,
  deleteMatching: deleteMatchingOperation,
  get: getOperation,
  scroll: scrollOperation,
  count: countOperation,
  search: searchOperation,
  getRecord: getRecordOperation,
  scanRecords: scanRecordsOperation,
  describe: describeOperation,
  report: reportOperation,
  nudge: nudgeOperation,
  stopWrites: stopWritesOperation,
  snapshot: snapshotOperation,
};
