/** How long the suites wait for things, each with its name, so that a hang says what it hung on. */

export const timeoutsMs = {
  /** From starting the process to its printed addresses; generous, because two suites share two cores. */
  serverStart: 60_000,
  serverStop: 45_000,
  request: 30_000,
  command: 60_000,
  /** A server that should refuse to start ends within this. */
  refusal: 30_000,
} as const;

/** The value of `work`, or a failure that says what took longer than `timeoutMs`. */
export async function within<T>(timeoutMs: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks again and again until `probe` gives something. */
export async function eventually<T>(timeoutMs: number, what: string, probe: () => Promise<T | undefined>): Promise<T> {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (performance.now() > endMs) throw new Error(`${what} did not come within ${timeoutMs} ms`);
    await pause(50);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
