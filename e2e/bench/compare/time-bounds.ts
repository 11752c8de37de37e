/** No step waits for ever: what has not happened by then is reported as the peer's failure. */

import { within as withinTime } from '../../framework/timeouts.ts';

const minuteMs = 60_000;

export const boundsMs = {
  install: 30 * minuteMs,
  build: 60 * minuteMs,
  start: 2 * minuteMs,
  create: 2 * minuteMs,
  import: 120 * minuteMs,
  search: 15 * minuteMs,
  restart: 10 * minuteMs,
  stop: 3 * minuteMs,
  request: 5 * minuteMs,
} as const;

/** The value of `work`, or the failure of this step. */
export function within<Result>(step: keyof typeof boundsMs, work: Promise<Result>): Promise<Result> {
  return withinTime(boundsMs[step], step, work);
}
