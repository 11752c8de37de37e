/** What the processes of a cluster logged, for the reader of a failed test: warnings, and what happened to primaries and connections. */

import { existsSync, readFileSync } from 'node:fs';
import type { ClusterProcess } from './cluster-process.ts';

interface Line {
  readonly time: string;
  readonly text: string;
}

const interesting = /granted|shutting down|shut down|disconnected|taken out|joined|in sync|leads|switchover|damaged|stands|Shoal \d/;

/** The last lines of all processes by time, at most `countMax`. */
export function logExcerpt(processes: readonly ClusterProcess[], countMax: number): string {
  const lines = processes.flatMap((each) => linesOf(each)).sort((a, b) => (a.time < b.time ? -1 : 1));
  return lines
    .slice(-countMax)
    .map(({ text }) => text)
    .join('\n');
}

function linesOf({ name, logFile }: ClusterProcess): Line[] {
  if (!existsSync(logFile)) return [];
  const found: Line[] = [];
  let lastTime = '';
  for (const text of readFileSync(logFile, 'utf8').split('\n')) {
    if (text === '') continue;
    const line = parsed(text);
    if (line === undefined) {
      // What is no log line is a crash's last words, or a greeting.
      found.push({ time: lastTime, text: `${name.padEnd(12)} ${text}` });
      continue;
    }
    const { time, level, msg, ...fields } = line;
    lastTime = time;
    if (level === 'info' ? !interesting.test(text) : msg === 'slow request') continue;
    found.push({ time, text: `${name.padEnd(12)} ${time.slice(11, 23)} ${level} ${msg} ${JSON.stringify(fields).slice(0, 700)}` });
  }
  return found;
}

function parsed(text: string): { readonly time: string; readonly level: string; readonly msg: string } | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    return JSON.parse(text) as { time: string; level: string; msg: string };
  } catch {
    return undefined;
  }
}
