/** The services of another pod, as this process calls them: each call is one request on the connection to it. */

import type { PodService, ShardTarget } from '../domain/pod-service.ts';
import type { ShardContext, ShardService } from '../domain/shard-service.ts';
import { noSpan } from '../kernel/span.ts';
import type { Operation } from './operation.ts';
import type { Asked } from './outgoing-requests.ts';
import { KnownReport } from './report-changes.ts';
import { nudgeOperation, reportOperation, snapshotOperation, stopWritesOperation } from './pod-operations.ts';
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

export interface Asking {
  /** Of the other side, for traces. */
  readonly pod: string;
  ask<Input, Output>(operation: Operation<Input, Output>, asked: Asked<Input>): Promise<Output>;
}

export function remotePod(link: Asking): PodService {
  const ask = <Input, Output>(operation: Operation<Input, Output>, input: Input, signal: AbortSignal): Promise<Output> =>
    traced(link, operation, undefined, input, { signal, span: noSpan });
  const known = new KnownReport();
  return {
    report: async (signal) => known.take(await ask(reportOperation, known.position, signal)),
    nudge: (shardUID, signal) => ask(nudgeOperation, shardUID, signal),
    stopWrites: (shardUID, signal) => ask(stopWritesOperation, shardUID, signal),
    snapshot: (request, signal) => ask(snapshotOperation, request, signal),
    shard: (target) => remoteShard(link, target),
  };
}

function remoteShard(link: Asking, target: ShardTarget): ShardService {
  const ask = <Input, Output>(operation: Operation<Input, Output>, input: Input, context: ShardContext): Promise<Output> => traced(link, operation, target, input, context);
  return {
    write: (context, write, idempotency) => ask(writeOperation, { write, idempotency }, context),
    deleteMatching: (context, filter) => ask(deleteMatchingOperation, filter, context),
    get: (context, request) => ask(getOperation, request, context),
    scroll: (context, request) => ask(scrollOperation, request, context),
    count: (context, request) => ask(countOperation, request, context),
    search: (context, request) => ask(searchOperation, request, context),
    getRecord: (context, key) => ask(getRecordOperation, key, context),
    scanRecords: (context, request) => ask(scanRecordsOperation, request, context),
    describe: (context) => ask(describeOperation, undefined, context),
  };
}

async function traced<Input, Output>(link: Asking, operation: Operation<Input, Output>, target: ShardTarget | undefined, input: Input, { signal, span }: ShardContext): Promise<Output> {
  const child = span.child(`ask.${operation.name}`, { pod: link.pod });
  try {
    return await link.ask(operation, { target, input, signal, traceparent: child.traceparent });
  } catch (error) {
    child.fail(error);
    throw error;
  } finally {
    child.end();
  }
}
