/**
 * `wire`: what one connection between two processes carries. A pod in a process of its own answers searches with ten
 * hits and takes messages; this process asks, with so many requests under way, and sends entries as replication would.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ShardSearch } from '../../pods/domain/shard-service.ts';
import { systemClock } from '../../pods/kernel/clock.ts';
import { startDeadline } from '../../pods/kernel/deadline.ts';
import { noSpan } from '../../pods/kernel/span.ts';
import type { PeerTransport } from '../../pods/wire/peer-transport.ts';
import { message, podAnswering, search as smallSearch, startTestPod, target, testTransport, type Addresses } from '../../pods/wire/wire.fixture.ts';
import { printTable, quantile } from './report.ts';

const secondsPerFigure = 2;
const entryBytesTotal = 256 << 20;

export async function runWireBenchmark(): Promise<void> {
  const server = spawn(process.execPath, [fileURLToPath(import.meta.url), 'pod'], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const [line] = (await once(server.stdout, 'data')) as [Buffer];
    const addresses: Addresses = new Map([['pod-b', `127.0.0.1:${Number(line.toString())}`]]);
    const transport = testTransport(addresses, { name: 'pod-a' });
    const searches: [number, number, number, number, number][] = [];
    for (const [inFlight, dimension] of [[1, 768], [16, 768], [256, 768]] as const) searches.push(await measureSearches(transport, inFlight, dimension));
    printTable('searches with ten hits over one connection', ['under way', 'dimension', 'requests/s', 'p50 ms', 'p99 ms'], searches);
    const entries: [string, number, number][] = [];
    for (const [name, entryBytes] of [['1 KiB', 1 << 10], ['64 KiB', 64 << 10], ['768 KiB', 768 << 10], ['15 MiB', 15 << 20]] as const) entries.push([name, ...(await measureEntries(transport, entryBytes))]);
    printTable('messages of one entry over one connection, at most 8 MiB on their way', ['entry', 'messages/s', 'MiB/s'], entries);
    transport.close();
  } finally {
    server.kill();
  }
}

async function measureSearches(transport: PeerTransport, inFlight: number, dimension: number): Promise<[number, number, number, number, number]> {
  const shard = transport.pod('pod-b').shard(target);
  const request: ShardSearch = { ...smallSearch, vector: new Float32Array(dimension).fill(0.5) };
  const tookMs: number[] = [];
  const endMs = performance.now() + secondsPerFigure * 1_000;
  const worker = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const startMs = performance.now();
      const deadline = startDeadline(systemClock, 10_000);
      await shard.search({ signal: deadline.signal, span: noSpan }, request);
      deadline.settle();
      tookMs.push(performance.now() - startMs);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  tookMs.sort((a, b) => a - b);
  return [inFlight, dimension, tookMs.length / secondsPerFigure, quantile(tookMs, 0.5), quantile(tookMs, 0.99)];
}

/** As a sender of bulk does: waits while too much is on its way. */
async function measureEntries(transport: PeerTransport, entryBytes: number): Promise<[number, number]> {
  const sent = message({ kind: 'append', prevSeq: 0, prevTerm: 0, commitSeq: 0, entries: [{ term: 5, seq: 1, payload: new Uint8Array(entryBytes) }] });
  const count = Math.min(20_000, Math.ceil(entryBytesTotal / entryBytes));
  const startMs = performance.now();
  for (let number = 0; number < count; number++) {
    while (transport.queuedBytes('pod-b') > 8 << 20) await new Promise((resolve) => setImmediate(resolve));
    transport.send(sent);
  }
  while (transport.queuedBytes('pod-b') > 0) await new Promise((resolve) => setImmediate(resolve));
  const seconds = (performance.now() - startMs) / 1_000;
  return [count / seconds, (count * entryBytes) / seconds / (1 << 20)];
}

async function servePod(): Promise<void> {
  const hits = Array.from({ length: 10 }, (_, at) => ({ id: `point-${at}`, version: at + 1, score: 1 / (at + 1), payload: { title: 'a title of some length', year: 2020 + at } }));
  const pod = await startTestPod(new Map(), {
    name: 'pod-b',
    served: { service: podAnswering(() => ({ hits, plan: 'graph', visitedCount: undefined, seq: 9 })), onMessage: () => undefined },
  });
  process.stdout.write(`${pod.server.address.port}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === 'pod') await servePod();
