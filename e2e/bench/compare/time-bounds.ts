/** No step waits for ever: what has not happened by then is reported as the peer's failure. */

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

export async function within<Result>(step: keyof typeof boundsMs, work: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${step}: not done after ${boundsMs[step] / minuteMs} minutes`)), boundsMs[step]);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
