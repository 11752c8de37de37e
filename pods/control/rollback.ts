/** Rule P1: a pod that knows a newer authority than the object says proves that the store of objects went back in time. */

import type { ShardFacts, ShardStep } from './shard-facts.ts';
import { reportsOf } from './observation.ts';

export function decideRollback(facts: ShardFacts): ShardStep | undefined {
  const { shard, readAtMs, pods } = facts;
  const term = shard.status.authority?.term ?? 0;
  const configVersion = shard.status.authority?.configVersion ?? 0;
  const ahead = reportsOf(shard.metadata.uid, pods).filter(({ replica }) => replica.term > term || replica.configVersion > configVersion);
  const proof = ahead.find(({ report }) => report.answeredAtMs <= readAtMs);
  if (proof !== undefined) {
    const { replica } = proof;
    return {
      action: 'stop',
      condition: 'MetadataRolledBack',
      because: `${proof.pod.name} knows term ${replica.term} and configVersion ${replica.configVersion}, the object says ${term} and ${configVersion}: the store of objects went back in time`,
    };
  }
  if (ahead.length > 0) return { action: 'wait', soon: true, because: `${ahead[0]!.pod.name} reports a newer authority than the object, which was read earlier` };
  return undefined;
}
