/**
 * How a server that a suite or a benchmark starts is run: as `npm start` and the image do (tools/runtime.mjs; a test compares
 * them). Not by the environment of who starts it, since peers of a comparison have that too.
 */

export const serverFlags: readonly string[] = ['--max-semi-space-size=8'];

export const serverEnvironment: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '262144',
  MALLOC_TRIM_THRESHOLD_: '4194304',
};
