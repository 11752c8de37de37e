/**
 * A library or an embedded database: a driver program of ours (`drivers/`) holds it, reads vectors from files and measures its own
 * searches. We send one line with tabs between its words, and get one line back:
 *
 *     create  <directory> <dimension> <points> <m> <efConstruction>     ok <seconds>
 *     import  <file of points> <count>                                  error <why>
 *     open    <directory> <dimension>
 *     search  <file of queries> <count> <k> <breadth> <in flight> <file for answers> <file for latencies>
 *     end                                 what is in memory alone is written to the directory before the answer
 *
 * Files are 32-bit floats row by row; answers are 32-bit row numbers (-1: none), k a query; latencies 64-bit milliseconds.
 */

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { startProcess } from './child-process.ts';
import { graphParameters, topK, type Matrix, type Place, type Searched, type StartedPeer } from './peer.ts';
import { treeCpuMicros } from './process-tree.ts';

export interface DriverCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

export function startDriver({ command, args, env = {} }: DriverCommand, { directory, core }: Place): StartedPeer {
  const own = startProcess(command, args, { core, logPath: `${directory}.log`, env, piped: true });
  const lines = createInterface(own.child.stdout!)[Symbol.asyncIterator]();
  const ask = async (...words: (string | number)[]): Promise<number> => {
    own.child.stdin!.write(`${words.join('\t')}\n`);
    for (;;) {
      const next = await Promise.race([lines.next(), own.failed]);
      if (next.done === true) return own.failed;
      const [verdict, rest = ''] = next.value.split('\t');
      if (verdict === 'ok') return Number(rest);
      if (verdict === 'error') throw new Error(rest);
      // Some libraries print what they please.
    }
  };
  const file = (name: string): string => `${directory}.${name}`;
  return {
    pid: own.pid,
    startedMs: own.startedMs,
    async create(dimension, pointCount) {
      await ask('create', directory, dimension, pointCount, graphParameters.m, graphParameters.efConstruction);
    },
    async import(points) {
      await ask('import', written(file('points'), points), points.count);
      rmSync(file('points'));
    },
    async open(dimension) {
      await ask('open', directory, dimension);
    },
    async search(queries, breadth, inFlight) {
      const queryFile = written(file('queries'), queries);
      const cpuBefore = treeCpuMicros(own.pid);
      const seconds = await ask('search', queryFile, queries.count, topK, breadth, inFlight, file('answers'), file('latencies'));
      const cpuMicros = treeCpuMicros(own.pid) - cpuBefore;
      return { ...searched(queries.count, readFileSync(file('answers')), readFileSync(file('latencies'))), seconds, cpuMicros };
    },
    async stop() {
      try {
        await ask('end');
      } finally {
        await own.stop();
      }
    },
  };
}

function written(path: string, { values }: Matrix): string {
  writeFileSync(path, values);
  return path;
}

export function searched(count: number, answerBytes: Uint8Array, latencyBytes: Uint8Array): Pick<Searched, 'answers' | 'latenciesMs'> {
  // A copy, because what a file was read into may be part of a larger buffer.
  const found = new Int32Array(new Uint8Array(answerBytes).buffer);
  const latenciesMs = new Float64Array(new Uint8Array(latencyBytes).buffer);
  if (found.length !== count * topK || latenciesMs.length !== count) throw new Error(`the driver answered ${found.length} rows and ${latenciesMs.length} latencies to ${count} queries`);
  const answers = Array.from({ length: count }, (_, query) => [...found.subarray(query * topK, (query + 1) * topK)].filter((row) => row >= 0));
  return { answers, latenciesMs };
}
