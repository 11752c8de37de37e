/** `RecordStore` over the system collection's shard. */

import { ShoalError } from '../kernel/errors.ts';
import type { RequestContext } from '../api/context.ts';
import type { RecordStore } from '../api/records.ts';
import type { ShardService } from '../domain/shard-service.ts';
import { shardContext, type Routing } from './routing.ts';

export function createRecordStore(routing: Routing): RecordStore {
  const onSystemShard = <T>(context: RequestContext, operation: (service: ShardService) => Promise<T>): Promise<T> =>
    routing.onSystemCollection(context, (collection) => operation(routing.service(collection.shards[0]!)));

  return {
    get: (context, key) => onSystemShard(context, (service) => service.getRecord(shardContext(context), key)),

    put(context, key, value, expectedVersion) {
      return onSystemShard(context, async (service) => {
        const answer = await service.write(shardContext(context), { kind: 'put-record', key, value, expectedVersion });
        const result = answer.results[0]!;
        if (result.outcome === 'condition-failed') {
          throw new ShoalError('CONFLICT', `record "${key}" has version ${result.version}, not ${expectedVersion}`);
        }
        return { version: result.version };
      });
    },

    delete(context, key) {
      return onSystemShard(context, async (service) => {
        const answer = await service.write(shardContext(context), { kind: 'delete-record', key });
        return answer.results[0]!.outcome === 'deleted';
      });
    },

    scan(context, prefix, page) {
      return onSystemShard(context, (service) => service.scanRecords(shardContext(context), { prefix, after: page.after, limit: page.limit }));
    },
  };
}
