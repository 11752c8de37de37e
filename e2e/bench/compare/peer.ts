/** What the benchmark asks of everything it compares: Shoal, a library, or somebody else's server. */

export interface Matrix {
  readonly dimension: number;
  readonly count: number;
  /** Row by row. The id of a point is the number of its row. */
  readonly values: Float32Array;
}

/** For all that take them, so that the graphs are alike. */
export const graphParameters = { m: 16, efConstruction: 128 } as const;
export const topK = 10;

export type PeerKind =
  /** Linked into a program of ours, which is measured: no protocol, no durability. */
  | 'library'
  /** A database inside a program of ours. */
  | 'embedded'
  | 'server';

export interface Peer {
  readonly name: string;
  readonly kind: PeerKind;
  /** How it is asked, and what else a reader of the table should know. */
  readonly about: string;
  /** Installs or builds what is missing; returns its version. Throws with the reason where it cannot be done. */
  prepare(): Promise<string>;
  /** Starts it on a directory, which is empty or has what an earlier start left there. */
  start(place: Place): Promise<StartedPeer>;
}

export interface Place {
  readonly directory: string;
  /** The core that it shall keep to; undefined: any. */
  readonly core: number | undefined;
}

export interface StartedPeer {
  /** Root of its processes; undefined where they cannot be seen, as on another machine. */
  readonly pid: number | undefined;
  /** `performance.now()` before its process was made. */
  readonly startedMs: number;
  create(dimension: number, pointCount: number): Promise<void>;
  /** Returns once all points are in the graph. */
  import(points: Matrix): Promise<void>;
  /** After a start on a directory with data. */
  open(dimension: number): Promise<void>;
  search(queries: Matrix, breadth: number, inFlight: number): Promise<Searched>;
  /** Its data are on the disk, and its processes gone, once this resolves. */
  stop(): Promise<void>;
}

export interface Searched {
  /** Rows of the points found, best first, by query. */
  readonly answers: readonly (readonly number[])[];
  readonly latenciesMs: Float64Array;
  readonly seconds: number;
  /** Of all its processes meanwhile; undefined where they cannot be seen. */
  readonly cpuMicros: number | undefined;
}

export function rows({ dimension, values }: Matrix, first: number, last: number): Matrix {
  return { dimension, count: last - first, values: values.subarray(first * dimension, last * dimension) };
}

export function row({ dimension, values }: Matrix, at: number): Float32Array {
  return values.subarray(at * dimension, (at + 1) * dimension);
}
