/** When the authority of shards changed, as a watch of the API server tells it: what of an outage was spent on what. */

import type { KubeMetadata } from '../../../pods/metadata/kube-metadata.ts';
import type { ShardAuthority } from '../../../pods/metadata/objects.ts';

export interface AuthorityChange {
  /** Of `performance.now()`. */
  readonly atMs: number;
  readonly shardUID: string;
  readonly authority: ShardAuthority;
}

export class AuthorityTimeline {
  readonly changes: AuthorityChange[] = [];
  readonly close: () => void;

  constructor({ shards }: KubeMetadata) {
    this.close = shards.watch((name) => {
      const shard = shards.peek(name);
      const authority = shard?.status.authority;
      if (authority !== undefined) this.changes.push({ atMs: performance.now(), shardUID: shard!.metadata.uid, authority });
    });
  }

  /** The first change of the shard after `sinceMs` that is as `wanted` says. */
  first(shardUID: string, sinceMs: number, wanted: (authority: ShardAuthority) => boolean): AuthorityChange | undefined {
    return this.changes.find((change) => change.shardUID === shardUID && change.atMs > sinceMs && wanted(change.authority));
  }

  /** What the shard's object says, as far as the watch knows. */
  last(shardUID: string): ShardAuthority | undefined {
    return this.changes.findLast((change) => change.shardUID === shardUID)?.authority;
  }
}
