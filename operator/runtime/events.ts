/**
 * Events: what `kubectl describe` shows below an object. The same sentence about the same object is one Event whose count
 * grows; how many are written in a minute is bounded, and one that cannot be written is left out: nothing depends on them.
 */

import { createHash } from 'node:crypto';
import type { Clock } from '../../pods/kernel/clock.ts';
import { limits } from '../../pods/kernel/limits.ts';
import type { Logger } from '../../pods/kernel/logger.ts';
import { fieldManager, type ObjectWriter } from './apply.ts';
import { kinds, type KindName } from './kinds.ts';

export interface Regarding {
  readonly kind: KindName;
  readonly name: string;
  readonly uid: string;
}

export interface EventsOptions {
  readonly writer: ObjectWriter;
  readonly namespace: string;
  /** Of the operator, among several. */
  readonly identity: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

const noteLengthMax = 1_000;
const rememberedCountMax = 2_000;

export class Events {
  readonly #options: EventsOptions;
  readonly #told = new Map<string, { count: number; firstAt: string }>();
  #minuteBeganMs = -Infinity;
  #minuteCount = 0;

  constructor(options: EventsOptions) {
    this.#options = options;
  }

  /** Does not wait, does not fail. */
  tell(regarding: Regarding, type: 'Normal' | 'Warning', reason: string, sentence: string): void {
    const { clock, writer, namespace, identity, logger } = this.#options;
    if (clock.monotonicMs() - this.#minuteBeganMs >= 60_000) {
      this.#minuteBeganMs = clock.monotonicMs();
      this.#minuteCount = 0;
    }
    if (this.#minuteCount++ >= limits.eventsPerMinuteMax) return;
    const message = sentence.slice(0, noteLengthMax);
    const now = `${new Date(clock.nowMs()).toISOString().slice(0, 19)}Z`;
    const name = `${regarding.name.slice(0, 200)}.${createHash('sha256').update([regarding.uid, reason, message].join('\0')).digest('hex').slice(0, 16)}`;
    const told = this.#told.get(name) ?? { count: 0, firstAt: now };
    told.count++;
    this.#told.delete(name);
    this.#told.set(name, told);
    if (this.#told.size > rememberedCountMax) this.#told.delete(this.#told.keys().next().value!);
    const event = {
      metadata: { name, namespace },
      involvedObject: { apiVersion: kinds[regarding.kind].apiVersion, kind: regarding.kind, name: regarding.name, namespace, uid: regarding.uid },
      type,
      reason,
      message,
      count: told.count,
      firstTimestamp: told.firstAt,
      lastTimestamp: now,
      source: { component: fieldManager },
      reportingComponent: fieldManager,
      reportingInstance: identity,
    };
    writer.apply('Event', event).catch((error: unknown) => logger.debug({ error, reason }, 'an Event could not be written'));
  }
}
