/** The three lanes of a connection: messages, requests and answers wait for windows of their own, never for each other. */

export const lanes = ['messages', 'requests', 'answers'] as const;
export type Lane = (typeof lanes)[number];

/**
 * What a piece of an item costs of its lane's window: its bytes, and something for the objects that it becomes, so that a
 * window of very small items is bounded too.
 */
export function pieceCost(sizeBytes: number): number {
  return sizeBytes + 256;
}
