/** Reads a V8 CPU profile: where the time of the main thread went, in all or between two moments. */

import type { Profiler } from 'node:inspector/promises';

export interface FunctionTime {
  readonly place: string;
  readonly selfMs: number;
  /** With everything it called; a recursive function counts once per sample. */
  readonly totalMs: number;
}

/** Heaviest first by own time; idle time left out. Moments are microseconds of the profiled process's monotonic clock. */
export function heaviestFunctions(profile: Profiler.Profile, fromMicros = -Infinity, toMicros = Infinity): FunctionTime[] {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map(profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id] as const)));
  const self = new Map<string, number>();
  const total = new Map<string, number>();
  let atMicros = profile.startTime;
  for (const [at, sample] of (profile.samples ?? []).entries()) {
    atMicros += profile.timeDeltas![at]!;
    if (atMicros < fromMicros || atMicros > toMicros) continue;
    // A sample stands for the time until the next one.
    const spentMs = (profile.timeDeltas![at + 1] ?? 0) / 1_000;
    const place = placeOf(nodes.get(sample)!);
    if (place === '(idle)') continue;
    self.set(place, (self.get(place) ?? 0) + spentMs);
    const stack = new Set<string>();
    for (let id: number | undefined = sample; id !== undefined; id = parents.get(id)) stack.add(placeOf(nodes.get(id)!));
    for (const caller of stack) total.set(caller, (total.get(caller) ?? 0) + spentMs);
  }
  return [...total].map(([place, totalMs]) => ({ place, selfMs: self.get(place) ?? 0, totalMs })).sort((a, b) => b.selfMs - a.selfMs);
}

/** Name, file below the checkout and line, such as `search (pods/index/flat-index.ts:61)`. */
function placeOf({ callFrame: { functionName, url, lineNumber } }: Profiler.ProfileNode): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  const path = url.replace(checkout, '').replace(/^.*node_modules\//, '');
  return `${name} (${path}:${lineNumber + 1})`;
}

const checkout = new URL('../../', import.meta.url).href;
