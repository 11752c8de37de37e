/**
 * Several collections that had one name, one after another: the lives of a collection. A client names the collection, not
 * the life, so two things may go wrong that the history of one life cannot tell.
 *
 * A write that is acknowledged by an earlier life is lost with it: never right. A read may be answered by an earlier life,
 * through a gateway and a replica that have both not heard that it was deleted (docs/consistency.md), unless
 *
 *     it is linearizable                     the present life must answer
 *     it has a token of a later life         whoever has that knows of a life after this one, and so does the gateway
 *
 * Such a read belongs to the life that answered it, and must be right there in everything that is promised of it: contents,
 * versions, tokens. It belongs there when its own life cannot have given the answer and that life can, all of it.
 */

import type { ConsistencyToken } from '../../pods/domain/consistency.ts';
import type { Operation, OperationsById, Recorded, Search } from './history.ts';
import { checkSearch, checkSessionRead, writesOf } from './searches.ts';
import type { Violation } from './violation.ts';

/** Ids begin with the UID and a slash. Nothing of it was under way when the next one began. */
export interface Life {
  readonly uid: string;
  readonly history: Recorded;
}

/** The histories of the lives, each with the reads that it answered, whoever sent them. */
export function whereAnswered(lives: readonly Life[]): Recorded[] {
  const lifeOf = livesOfShards(lives);
  const writes = lives.map(({ history }) => writesOf(new Map(history.ids.map((id) => [id, history.operationsOf(id)]))));
  const answered = lives.map(() => ({ gets: new Map<string, Operation[]>(), searches: [] as Search[] }));
  lives.forEach(({ uid, history }, own) => {
    const earliest = (consistency: Search['consistency']): number => {
      if (consistency.level === 'linearizable') return own;
      return consistency.level === 'eventual' ? 0 : Math.max(0, ...consistency.tokens.map(({ shardUID }) => lifeOf.get(shardUID) ?? 0));
    };
    /** The latest that can have given the answer; its own where none can. */
    const place = <Read>(read: Read, consistency: Search['consistency'], asOf: (life: Life) => Read, isRight: (read: Read, writesById: OperationsById) => boolean): { readonly life: number; readonly read: Read } => {
      if (isRight(read, writes[own]!)) return { life: own, read };
      for (let life = own - 1; life >= earliest(consistency); life--) {
        const there = asOf(lives[life]!);
        if (isRight(there, writes[life]!)) return { life, read: there };
      }
      return { life: own, read };
    };
    const inLife = (id: string, life: Life): string => `${life.uid}${id.slice(uid.length)}`;
    for (const get of history.ids.flatMap((id) => history.operationsOf(id)).filter(isGet)) {
      const { life, read } = place(get, get.call.consistency, (earlier) => ({ ...get, ...afterAll, id: inLife(get.id, earlier) }), (there, writesById) => checkSessionRead(there, writesById.get(there.id) ?? []).length === 0);
      const { gets } = answered[life]!;
      gets.set(read.id, [...(gets.get(read.id) ?? []), read]);
    }
    for (const search of history.searches) {
      // It had room for as many points as its own life had ids.
      const asOf = (earlier: Life): Search => ({ ...search, ...afterAll, complete: false, hits: search.hits.map((hit) => ({ ...hit, id: inLife(hit.id, earlier) })) });
      const { life, read } = place(search, search.consistency, asOf, (there, writesById) => checkSearch(there, writesById).length === 0);
      answered[life]!.searches.push(read);
    }
  });
  return lives.map(({ history }, life) => {
    const { gets, searches } = answered[life]!;
    return {
      ids: [...new Set([...history.ids, ...gets.keys()])],
      operationsOf: (id) => [...history.operationsOf(id).filter((operation) => !isGet(operation)), ...(gets.get(id) ?? [])].sort((a, b) => a.invokedAt - b.invokedAt),
      isRetired: (id) => history.isRetired(id),
      searches,
      contradictions: history.contradictions,
    };
  });
}

/** Writes that an earlier life acknowledged. */
export function checkWritesOfLives(lives: readonly Life[]): Violation[] {
  const lifeOf = livesOfShards(lives);
  return lives.flatMap(({ history }, own) =>
    acknowledgedTokens(history).flatMap(({ operation, token: { shardUID } }): Violation[] => {
      const life = lifeOf.get(shardUID)!;
      return life === own ? [] : [{ promise: 'written where it was sent', what: `${operation.id}: operation ${operation.number} of ${operation.clientId} at ${operation.invokedMs} ms was acknowledged by shard ${shardUID} of collection ${lives[life]!.uid}, which had been deleted before it was sent` }];
    }),
  );
}

/** Of an earlier life everything was sent before a read of a later one. */
const afterAll = { invokedAt: Infinity, respondedAt: Infinity };

type Get = Operation & { readonly call: { readonly kind: 'get' } };

function isGet(operation: Operation): operation is Get {
  return operation.call.kind === 'get';
}

/** By shard UID the first life whose writes were answered with tokens of it. A token that a client has is one of these. */
function livesOfShards(lives: readonly Life[]): ReadonlyMap<string, number> {
  const lifeOf = new Map<string, number>();
  lives.forEach(({ history }, life) => {
    for (const { token } of acknowledgedTokens(history)) if (!lifeOf.has(token.shardUID)) lifeOf.set(token.shardUID, life);
  });
  return lifeOf;
}

function acknowledgedTokens(history: Recorded): { readonly operation: Operation; readonly token: ConsistencyToken }[] {
  return history.ids.flatMap((id) => history.operationsOf(id)).flatMap((operation) => {
    if (operation.outcome !== 'ok' || !('tokens' in operation.answer)) return [];
    return operation.answer.tokens.map((token) => ({ operation, token }));
  });
}
