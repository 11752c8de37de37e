/** Samples of everything that travels, and a pod that answers with them. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PodReport, PodService, SnapshotAnswer, SnapshotRequest } from '../domain/pod-service.ts';
import type { Filter } from '../domain/filter.ts';
import type { ShardContext, ShardGet, ShardHit, ShardRecord, ShardReport, ShardScroll, ShardSearch, ShardService, ShardWrite } from '../domain/shard-service.ts';
import { bytesOfVector } from '../domain/vector-bytes.ts';
import { systemClock } from '../kernel/clock.ts';
import { silentLogger } from '../kernel/logger.ts';
import { systemRandom } from '../kernel/random.ts';
import { noSpan } from '../kernel/span.ts';
import type { Message, MessageBody } from '../replication/messages.ts';
import { startPeerServer, type PeerServer } from './peer-server.ts';
import { PeerTransport, type PeerTransportOptions, type Served } from './peer-transport.ts';

export const target = { collectionUID: 'collection-1', shardUID: 'shard-1', epoch: 7 };
export const context = (signal: AbortSignal = new AbortController().signal): ShardContext => ({ signal, span: noSpan });

// --------------------------------------------------------------- messages

const bodies: readonly MessageBody[] = [
  { kind: 'fence', number: 3, configVersion: Number.MAX_SAFE_INTEGER },
  {
    kind: 'report',
    number: 3,
    runs: [
      { term: 1, firstSeq: 1, lastSeq: 10 },
      { term: 4, firstSeq: 11, lastSeq: 12 },
    ],
    lastSeq: 12,
    commitSeq: 10,
    appliedSeq: 9,
  },
  { kind: 'report', number: 0, runs: [], lastSeq: 0, commitSeq: 0, appliedSeq: 0 },
  { kind: 'hello' },
  {
    kind: 'append',
    prevSeq: 10,
    prevTerm: 4,
    commitSeq: 9,
    entries: [
      { term: 4, seq: 11, payload: Uint8Array.of(1, 2, 3) },
      { term: 5, seq: 12, payload: new Uint8Array(0) },
    ],
  },
  { kind: 'append', prevSeq: 0, prevTerm: 0, commitSeq: 0, entries: [] },
  { kind: 'stored', throughSeq: 12, appliedSeq: 10 },
  { kind: 'check', round: 8 },
  { kind: 'checked', round: 8 },
  { kind: 'take-snapshot' },
  { kind: 'goodbye' },
  { kind: 'outdated' },
];

export const message = (body: MessageBody, from = 'pod-a', to = 'pod-b'): Message => ({
  collectionUID: 'collection-1',
  shardUID: 'shard-1',
  term: 5,
  from: { pod: from, incarnation: 'incarnation-a', session: 'session-a' },
  to: { pod: to, incarnation: 'incarnation-b', session: '' },
  body,
});

export const messages: readonly Message[] = bodies.map((body) => message(body));

export function appendOf(sizeBytes: number): Message {
  return message({ kind: 'append', prevSeq: 10, prevTerm: 4, commitSeq: 9, entries: [{ term: 5, seq: 11, payload: new Uint8Array(sizeBytes).map((_, index) => index * 31) }] });
}

// --------------------------------------------------------------- requests

const filter: Filter = {
  kind: 'and',
  filters: [
    { kind: 'or', filters: [{ kind: 'equals', field: 'tag', value: 'ä€😀' }, { kind: 'equals', field: 'n', value: -0.5 }, { kind: 'equals', field: 'b', value: false }, { kind: 'equals', field: 'z', value: null }] },
    { kind: 'not', filter: { kind: 'exists', field: 'gone' } },
    { kind: 'in', field: 'kind', values: ['a', 1, true, null] },
    { kind: 'range', field: 'year', gte: 2020, lt: 2030.5 },
    { kind: 'range', field: 'at', gt: '2024-05-01T12:00:00Z', lte: '2025-05-01T12:00:00Z' },
    { kind: 'and', filters: [] },
  ],
};

const vector = Float32Array.of(0, -1.5, 3.25, 1e-40);
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const token = { shardUID: 'shard-1', seq: 12 };
const hit: ShardHit = { id: 'a', version: 3, score: 0.75 };
const record: ShardRecord = { key: 'k/1', value: Uint8Array.of(0, 255), version: 4 };

const writes: readonly ShardWrite[] = [
  {
    kind: 'upsert',
    points: [
      { id: 'a', vector: bytesOfVector(vector), payload: bytes('{"n":1}') },
      { id: 'ä€😀', vector: bytesOfVector(vector), payload: bytes('{}'), text: '', condition: { kind: 'absent' } },
      { id: 'c', vector: bytesOfVector(vector), payload: bytes('{}'), text: 'text', condition: { kind: 'matches', filter } },
    ],
  },
  { kind: 'upsert', points: [] },
  { kind: 'delete', points: [{ id: 'a' }, { id: 'b', condition: { kind: 'present' } }, { id: 'c', condition: { kind: 'version', version: 0 } }] },
  {
    kind: 'change-payload',
    changes: [{ id: 'a' }, { id: 'b', set: {}, remove: [], replace: false, condition: { kind: 'version', version: 9 } }, { id: 'c', set: { deep: [{ x: null }], y: 1.5 }, remove: ['p', 'q'], replace: true }],
  },
  { kind: 'put-record', key: 'k/1', value: Uint8Array.of(1), expectedVersion: undefined },
  { kind: 'put-record', key: 'k/1', value: new Uint8Array(0), expectedVersion: 0 },
  { kind: 'delete-record', key: 'k/1' },
];

const get: ShardGet = { ids: ['a', 'b'], includeVector: true, includePayload: false, consistency: { level: 'session', tokens: [token] } };
const scroll: ShardScroll = { afterId: undefined, filter: undefined, limit: 10_000, includeVector: false, includePayload: true, consistency: { level: 'eventual' } };
export const search: ShardSearch = {
  vector,
  topK: 10,
  ef: undefined,
  exact: false,
  filter: undefined,
  scoreThreshold: undefined,
  countVisited: false,
  includeVector: false,
  includePayload: true,
  consistency: { level: 'linearizable' },
};
const statistics = { lastSeq: 9, commitSeq: 8, appliedSeq: 7, checkpointSeq: 6, tailPointCount: 5, graphPointCount: 4, indexMemoryBytes: 3, indexKind: 'hnsw' };
const report: ShardReport = { pointCount: 5, term: 2, notServing: undefined, statistics };
const podReport: PodReport = {
  pod: 'pod-b',
  podUID: 'uid-b',
  session: 'session-b',
  freeBytes: 2 ** 30,
  replicas: (['waiting', 'backup', 'primary'] as const).map((role, i) => ({
    collectionUID: 'collection-1',
    shardUID: `shard-${i}`,
    incarnation: 'incarnation-b',
    role,
    term: 5,
    lastSeq: 12,
    commitSeq: 11,
    appliedSeq: 10,
    configVersion: 2,
    quarantined: role === 'waiting',
    blockedMs: 1.5,
    pointCount: 0,
  })),
};
const snapshotRequest: SnapshotRequest = { shardUID: 'shard-1', incarnation: 'incarnation-a', transfer: '', offset: 4 };
export const snapshot: SnapshotAnswer = {
  transfer: 'transfer-1',
  parts: [
    { offset: 0, content: { kind: 'begin', appliedSeq: 12, appliedTerm: 4 } },
    { offset: 1, content: { kind: 'entries', entries: [{ key: Uint8Array.of(1), value: new Uint8Array(0) }, { key: Uint8Array.of(2, 0), value: Uint8Array.of(3) }] } },
    { offset: 2, content: { kind: 'entries', entries: [] } },
    { offset: 3, content: { kind: 'file', name: 'graph', position: 65_536, bytes: Uint8Array.of(9, 8) } },
    { offset: 4, content: { kind: 'end' } },
  ],
  progress: 0.25,
};

export interface SampleCall {
  /** What the pod is to see: the method and what it is called with, but for signals. */
  readonly seen: readonly unknown[];
  readonly answer: unknown;
  run(pod: PodService): Promise<unknown>;
}

const none = new AbortController().signal;
const ofShard = (name: keyof ShardService, args: readonly unknown[], answer: unknown): SampleCall => ({
  seen: [name, target, ...args],
  answer,
  run: (pod) => (pod.shard(target)[name] as (...all: readonly unknown[]) => Promise<unknown>)(context(), ...args),
});

export const calls: readonly SampleCall[] = [
  ...writes.map((write) =>
    ofShard('write', [write, { clientId: 'client', requestNumber: 9 }], { results: (['created', 'updated', 'deleted', 'not-found', 'condition-failed'] as const).map((outcome, version) => ({ outcome, version })), token }),
  ),
  ofShard('write', [writes[0], undefined], { results: [], token }),
  ofShard('deleteMatching', [filter], { deletedCount: 3, token }),
  ofShard('get', [get], [undefined, { id: 'b', version: 2, vector, payload: { a: { b: [1, 'x', null, true] }, ['__proto_']: 1 }, text: '' }, { id: 'c', version: 3 }]),
  ofShard('get', [{ ...get, consistency: { level: 'session', tokens: [] } }], []),
  ofShard('scroll', [scroll], { points: [{ id: 'a', version: 1, payload: {} }], nextAfterId: 'a' }),
  ofShard('scroll', [{ ...scroll, afterId: '', filter }], { points: [], nextAfterId: undefined }),
  ofShard('count', [{ filter, consistency: { level: 'eventual' } }], 3),
  ofShard('count', [{ filter: undefined, consistency: { level: 'eventual' } }], 0),
  ofShard('search', [search], { hits: [], plan: 'scan', visitedCount: undefined, seq: 0 }),
  ofShard('search', [{ ...search, ef: 64, exact: true, filter, scoreThreshold: -0.5, countVisited: true }], { hits: [hit, { ...hit, score: -1, vector, payload: { p: 1 } }], plan: 'graph', visitedCount: 0, seq: 12 }),
  ofShard('getRecord', ['k/1'], record),
  ofShard('getRecord', [''], undefined),
  ofShard('scanRecords', [{ prefix: 'k/', after: undefined, limit: 5 }], [record]),
  ofShard('scanRecords', [{ prefix: '', after: 'k', limit: 1 }], []),
  ofShard('describe', [], report),
  ofShard('describe', [], { ...report, notServing: 'it starts' }),
  { seen: ['report'], answer: podReport, run: (pod) => pod.report(none) },
  { seen: ['nudge', 'shard-1'], answer: undefined, run: (pod) => pod.nudge('shard-1', none) },
  { seen: ['stopWrites', 'shard-1'], answer: { term: 3, lastSeq: 12 }, run: (pod) => pod.stopWrites('shard-1', none) },
  { seen: ['snapshot', snapshotRequest], answer: snapshot, run: (pod) => pod.snapshot(snapshotRequest, none) },
];

/** Hands every call to `answer`, as it would be in `SampleCall.seen`. */
export function podAnswering(answer: (seen: readonly unknown[], signal: AbortSignal) => unknown): PodService {
  const ask = async <Value>(seen: readonly unknown[], signal: AbortSignal): Promise<Value> => (await answer(seen, signal)) as Value;
  return {
    report: (signal) => ask(['report'], signal),
    nudge: (shardUID, signal) => ask(['nudge', shardUID], signal),
    stopWrites: (shardUID, signal) => ask(['stopWrites', shardUID], signal),
    snapshot: (request, signal) => ask(['snapshot', request], signal),
    shard: (asked) => ({
      write: ({ signal }, write, idempotency) => ask(['write', asked, write, idempotency], signal),
      deleteMatching: ({ signal }, matching) => ask(['deleteMatching', asked, matching], signal),
      get: ({ signal }, request) => ask(['get', asked, request], signal),
      scroll: ({ signal }, request) => ask(['scroll', asked, request], signal),
      count: ({ signal }, request) => ask(['count', asked, request], signal),
      search: ({ signal }, request) => ask(['search', asked, request], signal),
      getRecord: ({ signal }, key) => ask(['getRecord', asked, key], signal),
      scanRecords: ({ signal }, request) => ask(['scanRecords', asked, request], signal),
      describe: ({ signal }) => ask(['describe', asked], signal),
    }),
  };
}

// ------------------------------------------------------------------- pods

export interface TestPod {
  readonly transport: PeerTransport;
  readonly server: PeerServer;
  readonly received: Message[];
  stop(): void;
}

export interface TestPodOptions extends Partial<Pick<PeerTransportOptions, 'tls' | 'versions' | 'keepAlive' | 'windowBytes' | 'renewal' | 'resolve' | 'logger' | 'tracer' | 'metrics'>> {
  readonly name: string;
  readonly role?: 'pod' | 'gateway';
  readonly served?: Partial<Served>;
  readonly port?: number;
  readonly session?: string;
}

/** Pods of one test find each other here. */
export type Addresses = Map<string, string>;

export function testTransport(addresses: Addresses, { name, role = 'pod', session, served: _, port: _port, ...rest }: TestPodOptions): PeerTransport {
  return new PeerTransport({
    self: { role, name, podUID: `uid-${name}`, session: session ?? systemRandom.uuid() },
    resolve: (pod) => addresses.get(pod),
    tls: undefined,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    ...rest,
  });
}

export async function startTestPod(addresses: Addresses, options: TestPodOptions): Promise<TestPod> {
  const transport = testTransport(addresses, options);
  const received: Message[] = [];
  transport.serve({
    service: podAnswering(() => {
      throw new Error('no request was expected');
    }),
    onMessage: (arrived) => void received.push(arrived),
    ...options.served,
  });
  const server = await startPeerServer({ host: '127.0.0.1', port: options.port ?? 0, transport });
  addresses.set(options.name, `127.0.0.1:${server.address.port}`);
  return {
    transport,
    server,
    received,
    stop: () => {
      transport.close();
      server.close();
    },
  };
}

/** Waits until it holds; a test that waits for ever fails by its own time limit. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

export async function withDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-wire-'));
  try {
    await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
