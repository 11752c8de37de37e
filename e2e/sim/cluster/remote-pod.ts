/** `PodService` of another process, as calls over the simulated network. */

import type { PodService, ShardTarget } from '../../../pods/domain/pod-service.ts';
import type { ShardContext, ShardService } from '../../../pods/domain/shard-service.ts';
import { noSpan } from '../../../pods/kernel/span.ts';

/** Sends `request` to the pod and has it run `invoke` there. The signal does not travel: its abort does. */
export type CallPod = <Request, Answer>(
  to: string,
  method: string,
  request: Request,
  signal: AbortSignal,
  invoke: (service: PodService, request: Request, signal: AbortSignal) => Promise<Answer>,
) => Promise<Answer>;

export function remotePod(call: CallPod, to: string): PodService {
  return {
    report: (signal) => call(to, 'report', undefined, signal, (service, _, atServer) => service.report(atServer)),
    nudge: (shardUID, signal) => call(to, 'nudge', shardUID, signal, (service, uid, atServer) => service.nudge(uid, atServer)),
    stopWrites: (shardUID, signal) => call(to, 'stopWrites', shardUID, signal, (service, uid, atServer) => service.stopWrites(uid, atServer)),
    snapshot: (request, signal) => call(to, 'snapshot', request, signal, (service, sent, atServer) => service.snapshot(sent, atServer)),
    shard: (target) => remoteShard(call, to, target),
  };
}

function remoteShard(call: CallPod, to: string, target: ShardTarget): ShardService {
  const onShard = <Request, Answer>(
    method: string,
    { signal }: ShardContext,
    request: Request,
    invoke: (shard: ShardService, context: ShardContext, request: Request) => Promise<Answer>,
  ): Promise<Answer> => {
    return call(to, method, { target, request }, signal, (service, sent, atServer) => invoke(service.shard(sent.target), { signal: atServer, span: noSpan }, sent.request));
  };
  return {
    write: (context, write, idempotency) => onShard('write', context, { write, idempotency }, (shard, at, sent) => shard.write(at, sent.write, sent.idempotency)),
    deleteMatching: (context, filter) => onShard('deleteMatching', context, filter, (shard, at, sent) => shard.deleteMatching(at, sent)),
    get: (context, request) => onShard('get', context, request, (shard, at, sent) => shard.get(at, sent)),
    scroll: (context, request) => onShard('scroll', context, request, (shard, at, sent) => shard.scroll(at, sent)),
    count: (context, request) => onShard('count', context, request, (shard, at, sent) => shard.count(at, sent)),
    search: (context, request) => onShard('search', context, request, (shard, at, sent) => shard.search(at, sent)),
    getRecord: (context, key) => onShard('getRecord', context, key, (shard, at, sent) => shard.getRecord(at, sent)),
    scanRecords: (context, request) => onShard('scanRecords', context, request, (shard, at, sent) => shard.scanRecords(at, sent)),
    describe: (context) => onShard('describe', context, undefined, (shard, at) => shard.describe(at)),
  };
}
