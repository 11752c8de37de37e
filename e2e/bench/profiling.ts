/** Talks to the probe in the server, and prints profiles of its main thread. */

import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { heaviestFunctions } from './cpu-profile.ts';
import type { ProbeAnswer, ProbeQuestion, SlowSpan } from './probe-messages.ts';
import { printTable, say } from './report.ts';
import type { ServerProcess } from './server-process.ts';

/** A process that was started with the probe and a channel. */
export type Probed = Pick<ServerProcess, 'child'>;

export async function askProbe(server: Probed, question: ProbeQuestion): Promise<ProbeAnswer> {
  const answered = once(server.child, 'message') as Promise<[ProbeAnswer]>;
  server.child.send(question);
  return (await answered)[0];
}

/** Runs the work under the profiler; prints the heaviest functions, and those behind callbacks over `slowMs` of CPU. */
export async function profiled<Result>(server: Probed, title: string, path: string, work: () => Promise<Result>): Promise<Result> {
  await askProbe(server, 'profile-start');
  const result = await work();
  const { profile, slowest } = await askProbe(server, 'profile-stop');
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, JSON.stringify(profile));
  say(`profile in ${path}`);
  const heaviest = heaviestFunctions(profile!);
  const all = heaviest.reduce((sum, { selfMs }) => sum + selfMs, 0);
  const share = (milliseconds: number): string => `${((100 * milliseconds) / all).toFixed(1)} %`;
  printTable(`Main thread of the server: ${title}, ${Math.round(all)} ms`, ['function', 'own', 'with callees'], heaviest.slice(0, 25).map(({ place, selfMs, totalMs }) => [place, share(selfMs), share(totalMs)]));
  printTable(`Longest callbacks under the profiler: ${title}`, ['callback', 'CPU ms', 'heaviest functions (ms with callees)'], (slowest ?? []).map((span) => [span.name, span.cpuMs, behind(profile!, span)]));
  return result;
}

function behind(profile: Parameters<typeof heaviestFunctions>[0], span: SlowSpan): string {
  return heaviestFunctions(profile, span.startMicros, span.endMicros)
    .filter(({ place }) => place !== '(root)')
    .sort((a, b) => b.totalMs - a.totalMs || b.selfMs - a.selfMs)
    .slice(0, 8)
    .map(({ place, totalMs }) => `${place} ${totalMs.toFixed(1)}`)
    .join('\n');
}
