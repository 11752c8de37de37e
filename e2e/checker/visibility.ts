/**
 * What a look at one point may show, when it is not a linearizable get: a search's hit, a session's read, the state at the
 * end. Some writes must be visible to it, others may be.
 *
 * What it shows was left by one of the writes, or by none for a point that is absent, and no write that must be visible
 * may certainly have followed that one. A write certainly follows another when it was invoked after the other's answer, or
 * when the log has it later.
 */

import { describeOperation, describeSeen } from './explanation.ts';
import type { Operation, Seen, WriteAnswer } from './history.ts';

export interface Look {
  /** What was seen of the point, as far as it was asked for; undefined when it was not there. */
  readonly seen: Partial<Seen> | undefined;
  /** Nothing that was invoked later can have been seen. */
  readonly respondedAt: number;
  /** Whether an acknowledged write must have taken effect before the look. */
  readonly mustSee: (write: AcknowledgedWrite) => boolean;
}

export type AcknowledgedWrite = Operation & { readonly outcome: 'ok'; readonly answer: WriteAnswer };

/** Why nothing explains the look; undefined when something does. `writes` are all that changed or may have changed this id. */
export function whyImpossible(writes: readonly Operation[], look: Look): string | undefined {
  const { seen } = look;
  const isOrigin = (write: Operation): boolean => write.invokedAt <= look.respondedAt && (seen === undefined ? write.call.kind === 'delete' : mayHaveLeft(write, seen));
  const followerOf = (origin: Operation): Operation | undefined => writes.find((write) => certainlyFollows(write, origin) && isVisible(write, look));
  // From the latest back, because that is mostly the one.
  if (writes.findLast((write) => isOrigin(write) && followerOf(write) === undefined) !== undefined) return undefined;
  if (seen === undefined) {
    const unseen = writes.findLast((write) => write.call.kind !== 'delete' && isVisible(write, look));
    return unseen === undefined ? undefined : `is absent, but operation ${unseen.number} (${describeOperation(unseen)}) was acknowledged, and no deletion can have followed`;
  }
  const origin = writes.findLast(isOrigin);
  if (origin === undefined) return `shows ${describeSeen(seen)}, which no write that was sent before can have left`;
  const follower = followerOf(origin)!;
  return `shows ${describeSeen(seen)} of operation ${origin.number}, but operation ${follower.number} (${describeOperation(follower)}) followed and was acknowledged`;
}

function isVisible(write: Operation, { mustSee }: Look): boolean {
  return write.outcome === 'ok' && mustSee(write as AcknowledgedWrite);
}

/** Whether it changed the point, or may have. */
export function mayChange(operation: Operation): boolean {
  if (operation.call.kind === 'get' || operation.outcome === 'failed') return false;
  if (operation.outcome === 'unknown') return true;
  const { outcome } = (operation as AcknowledgedWrite).answer;
  return outcome === 'created' || outcome === 'updated' || outcome === 'deleted';
}

/** A payload change leaves a vector that it does not name, so the vector tells nothing about it. */
function mayHaveLeft(write: Operation, seen: Partial<Seen>): boolean {
  const agree = (wrote: number | undefined, saw: number | undefined): boolean => wrote === undefined || saw === undefined || wrote === saw;
  const version = write.outcome === 'ok' ? (write as AcknowledgedWrite).answer.version : undefined;
  switch (write.call.kind) {
    case 'upsert':
      return agree(write.call.content.vector, seen.vector) && agree(write.call.content.payload, seen.payload) && agree(version, seen.version);
    case 'set-payload':
      return agree(write.call.payload, seen.payload) && agree(version, seen.version);
    case 'delete':
    case 'get':
      return false;
  }
}

function certainlyFollows(later: Operation, earlier: Operation): boolean {
  return later !== earlier && (earlier.respondedAt < later.invokedAt || placeInLog(earlier).atMost < placeInLog(later).atLeast);
}

/**
 * The seq of its entry. The version of what it wrote is that seq. A deletion leaves no version; its token is at or past
 * its entry, and is its entry's when the request was sent once.
 */
function placeInLog(write: Operation): { readonly atLeast: number; readonly atMost: number } {
  if (write.outcome !== 'ok') return { atLeast: 0, atMost: Infinity };
  const { version, tokens } = (write as AcknowledgedWrite).answer;
  if (version > 0) return { atLeast: version, atMost: version };
  const seq = tokens.length === 1 ? tokens[0]!.seq : undefined;
  return { atLeast: write.attemptCount === 1 ? (seq ?? 0) : 0, atMost: seq ?? Infinity };
}
