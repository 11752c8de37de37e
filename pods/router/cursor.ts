/** Cursors of a scroll: where to go on, opaque to clients. */

import { ShoalError } from '../kernel/errors.ts';

export interface ScrollPosition {
  readonly shardIndex: number;
  readonly afterId: string | undefined;
}

export function encodeCursor(position: ScrollPosition): string {
  return Buffer.from(JSON.stringify([1, position.shardIndex, position.afterId ?? null])).toString('base64url');
}

export function decodeCursor(cursor: string): ScrollPosition {
  try {
    const [format, shardIndex, afterId] = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')) as unknown[];
    if (format === 1 && Number.isInteger(shardIndex) && (shardIndex as number) >= 0 && (afterId === null || typeof afterId === 'string')) {
      return { shardIndex: shardIndex as number, afterId: afterId ?? undefined };
    }
  } catch {
    // Falls through: whatever it was, it is not a cursor.
  }
  throw new ShoalError('INVALID_ARGUMENT', 'cursor is not one that a scroll has returned', { details: { field: 'cursor' } });
}
