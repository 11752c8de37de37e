/** What the judges find: the promise that was broken, and where. */

export interface Violation {
  readonly promise: 'linearizable' | 'versions' | 'answered once' | 'searches' | 'session reads' | 'durable' | 'replicas equal' | 'written where it was sent';
  /** Begins with the id. */
  readonly what: string;
}
