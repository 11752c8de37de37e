/** A server: import in batches, several in flight; searching clients with a connection each and one call in flight. */

import { progressLine } from '../report.ts';
import { row, rows, type Matrix, type Searched, type StartedPeer } from './peer.ts';
import { treeCpuMicros } from './process-tree.ts';

export const batchPointCount = 500;
export const batchesInFlight = 4;

/** One connection. */
export interface Session {
  create(dimension: number, pointCount: number): Promise<void>;
  /** Points whose first has the id `firstId`. */
  insert(firstId: number, points: Matrix): Promise<void>;
  /** Resolves when all points are in the graph. */
  drained(pointCount: number): Promise<void>;
  /** Before a series of searches, for those that keep the breadth with the collection. */
  setBreadth(breadth: number): Promise<void>;
  search(query: Float32Array, breadth: number): Promise<number[]>;
  close(): void;
}

export interface RunningServer {
  /** Another after a restart, which some need for another breadth. */
  readonly pid: number | undefined;
  readonly startedMs: number;
  connect(): Session;
  /** Of a server with data, before it is searched; where nothing is to be done, it is left out. */
  open?(): Promise<void>;
  stop(): Promise<void>;
}

export function servedPeer(server: RunningServer): StartedPeer {
  const withSession = async <Result>(work: (session: Session) => Promise<Result>): Promise<Result> => {
    const session = server.connect();
    try {
      return await work(session);
    } finally {
      session.close();
    }
  };
  return {
    get pid() {
      return server.pid;
    },
    startedMs: server.startedMs,
    create: (dimension, pointCount) => withSession((session) => session.create(dimension, pointCount)),
    import: (points) => withSession((session) => insertAll(session, points)),
    open: async () => server.open?.(),
    search: (queries, breadth, inFlight) => searchAll(server, queries, breadth, inFlight),
    stop: () => server.stop(),
  };
}

async function insertAll(session: Session, points: Matrix): Promise<void> {
  let next = 0;
  let done = 0;
  const lane = async (): Promise<void> => {
    while (next < points.count) {
      const first = next;
      next = Math.min(points.count, first + batchPointCount);
      const batch = rows(points, first, next);
      await session.insert(first, batch);
      done += batch.count;
      progressLine(`imported ${done} of ${points.count} points`, done === points.count);
    }
  };
  await Promise.all(Array.from({ length: batchesInFlight }, lane));
  await session.drained(points.count);
}

async function searchAll(server: RunningServer, queries: Matrix, breadth: number, inFlight: number): Promise<Searched> {
  const sessions = Array.from({ length: inFlight }, () => server.connect());
  try {
    await sessions[0]!.setBreadth(breadth);
    // Connections are opened before anything counts.
    await Promise.all(sessions.map((session, at) => session.search(row(queries, at % queries.count), breadth)));
    const answers = new Array<number[]>(queries.count);
    const latenciesMs = new Float64Array(queries.count);
    let next = 0;
    const lane = async (session: Session): Promise<void> => {
      while (next < queries.count) {
        const query = next++;
        const sentMs = performance.now();
        answers[query] = await session.search(row(queries, query), breadth);
        latenciesMs[query] = performance.now() - sentMs;
      }
    };
    const cpuBefore = server.pid === undefined ? undefined : treeCpuMicros(server.pid);
    const startedMs = performance.now();
    await Promise.all(sessions.map(lane));
    const seconds = (performance.now() - startedMs) / 1_000;
    return { answers, latenciesMs, seconds, cpuMicros: cpuBefore === undefined ? undefined : treeCpuMicros(server.pid!) - cpuBefore };
  } finally {
    for (const session of sessions) session.close();
  }
}
