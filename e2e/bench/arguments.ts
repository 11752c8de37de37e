/** The command line of the benchmark. */

import { parseArgs } from 'node:util';
import { quantizations, type Quantization } from '../../pods/domain/collection.ts';

export const datasetNames = ['glove', 'text', 'clustered'] as const;
export type DatasetName = (typeof datasetNames)[number];

export const benchmarkNames = [...datasetNames, 'quantization', 'overhead', 'wire', 'routed', 'replication', 'join'] as const;
export type BenchmarkName = (typeof benchmarkNames)[number];

export const parts = ['crash', 'search', 'filter', 'restart', 'beside', 'loop'] as const;
export type Part = (typeof parts)[number];

export interface BenchmarkOptions {
  readonly name: BenchmarkName;
  /** Points at most; undefined for all that the data set has. */
  readonly limit: number | undefined;
  readonly queryCount: number;
  readonly efs: readonly number[];
  readonly parts: ReadonlySet<Part>;
  /** Of `glove` and `text`: how the graph keeps the vectors. */
  readonly quantization: Quantization;
  /** How long the measurement of the event loop lasts. */
  readonly loopSeconds: number;
  /** Leave the data directory, and the server's log, in place. */
  readonly keep: boolean;
  readonly profile: boolean;
  /** Of `quantization`, `routed`, `replication` and `join`: less of everything, for a first look. */
  readonly quick: boolean;
  readonly output: string | undefined;
}

export const help = `usage: npm run bench -- <name> [options]

  glove        341,479 English word vectors (100 dimensions): import, search, filters, restarts, event loop
  text         117,791 WordNet glosses, embedded on this machine (512 dimensions; the first run embeds them, for minutes)
  clustered    a million points in clusters (100 dimensions), or as many as --limit says
  quantization what int8 codes cost and save beside floats: text, two servers, side by side, by calls of one search and of several
  overhead     what metrics and traces cost a query: four servers, side by side
  wire         what one connection between two pods carries
  routed       what a search costs more when gateway and data pod are processes of their own; then with TLS between them
  replication  1, 2 and 3 replicas side by side: writes, then reads with each pod limited to 0.2 core (needs root)
  join         a new replica of the glove points joins while writes and searches go on; then slower, and leaves
  compare      Shoal and others on the same machine and data, at equal recall; has options of its own: compare --help

routed, replication and join start a cluster of processes with a Kubernetes API of their own (built once; needs Go).

options
  --limit N        import at most N points (glove --limit 20000 takes about a minute)
  --queries N      held-out queries, 2000
  --ef LIST        breadths of search, 64,128,256,512,1024,2048
  --quantization F glove, text: how the graph keeps vectors, none or int8; none
  --only LIST      parts to run beside the import: ${parts.join(', ')}
  --skip LIST      parts to leave out
  --seconds N      length of the event-loop measurement, 15
  --quick          quantization, routed, replication, join: shorter or fewer rounds, fewer points
  --profile        profile the server's main thread: heaviest functions on stdout, .cpuprofile files beside the results
  --keep           leave the data directory in place
  --output FILE    results as JSON; by default bench-results/<name>-<date>.json
  --help

What each figure means: docs/benchmarks.md
`;

/** Undefined when help was asked for. Throws an Error with a sentence for bad usage. */
export function readArguments(argv: readonly string[]): BenchmarkOptions | undefined {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      limit: { type: 'string' },
      queries: { type: 'string', default: '2000' },
      ef: { type: 'string', default: '64,128,256,512,1024,2048' },
      quantization: { type: 'string', default: 'none' },
      only: { type: 'string', default: parts.join(',') },
      skip: { type: 'string', default: '' },
      seconds: { type: 'string', default: '15' },
      quick: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      output: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const [name, ...rest] = positionals;
  if (!isOneOf(benchmarkNames, name) || rest.length > 0) throw new Error(`name one of ${benchmarkNames.join(', ')}; see --help`);
  const { quantization } = values;
  if (!isOneOf(quantizations, quantization)) throw new Error(`--quantization is one of ${quantizations.join(', ')}, not "${quantization}"`);
  const skipped = new Set(partList('--skip', values.skip));
  return {
    name,
    limit: values.limit === undefined ? undefined : positiveInteger('--limit', values.limit),
    queryCount: positiveInteger('--queries', values.queries),
    efs: list(values.ef).map((ef) => positiveInteger('--ef', ef)),
    parts: new Set(partList('--only', values.only).filter((part) => !skipped.has(part))),
    quantization,
    loopSeconds: positiveInteger('--seconds', values.seconds),
    keep: values.keep,
    quick: values.quick,
    profile: values.profile,
    output: values.output,
  };
}

function partList(flag: string, text: string): Part[] {
  return list(text).map((name) => {
    if (!isOneOf(parts, name)) throw new Error(`${flag} knows ${parts.join(', ')}, not "${name}"`);
    return name;
  });
}

function list(text: string): string[] {
  return text.split(',').map((item) => item.trim()).filter((item) => item !== '');
}

function positiveInteger(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value <= 0) throw new Error(`${flag} takes a positive integer, not "${text}"`);
  return value;
}

export function isOneOf<Name extends string>(names: readonly Name[], name: string | undefined): name is Name {
  return (names as readonly (string | undefined)[]).includes(name);
}
