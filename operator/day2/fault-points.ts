/**
 * The instants between two writes of the sequences in this folder, by name. A suite that kills the operator at each of them
 * iterates over the list; in production nothing happens at any. Handed in by constructor alone.
 */

export const faultPoints = [
  /** A pod is about to be replaced: nothing is recorded yet; it is recorded. */
  'replace-before-record',
  'replace-recorded',
  /** It was found that nothing needs the pod: that is recorded, the pod is not evicted yet; it is evicted, that is not recorded. */
  'replace-before-evict',
  'replace-evicted',
  'replace-awaited',
  /** The pod is back: the record still stands; it is gone. */
  'replace-before-end',
  'replace-ended',
  /** What drains has been decided: before and after it is recorded. */
  'drain-before-record',
  'drain-recorded',
  /** Pods that leave are empty: before and after the StatefulSet is made smaller. */
  'scale-in-before',
  'scale-in-done',
  /** Each claim: it is larger. The StatefulSet: about to be deleted without its pods; deleted, not made anew. */
  'grow-claim-patched',
  'grow-before-remake',
  'grow-deleted',
] as const;

export type FaultPoint = (typeof faultPoints)[number];

/** Awaited at each point; a suite's may throw, or never resolve. */
export type ReachFaultPoint = (point: FaultPoint) => Promise<void>;

export const noFaults: ReachFaultPoint = () => Promise.resolve();
