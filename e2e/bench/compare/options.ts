/** The command line of `npm run bench -- compare`. */

import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

export const datasetNames = ['glove', 'text'] as const;
export type DatasetName = (typeof datasetNames)[number];

/** In the order in which they run. */
export const peerNames = ['shoal', 'shoal-int8', 'hnswlib', 'hnswlib-node', 'usearch', 'chroma', 'weaviate', 'milvus-lite', 'lancedb'] as const;
/** Servers that somebody else has started: given with an address. */
export const remoteNames = ['qdrant', 'weaviate', 'milvus'] as const;

export interface PeerChoice {
  readonly name: string;
  /** Absent: the benchmark starts it by itself. */
  readonly address?: string;
  /** Absent: as many as of all. */
  readonly runCount?: number;
}

export interface CompareOptions {
  readonly datasets: readonly DatasetName[];
  readonly peers: readonly PeerChoice[];
  /** Undefined for all that the data set has. */
  readonly pointCount: number | undefined;
  readonly queryCount: number;
  readonly runCount: number;
  readonly breadths: readonly number[];
  /** The directory of an earlier comparison: its runs are not repeated. */
  readonly resume: string | undefined;
  readonly output: 'table' | 'json';
  readonly writeDocs: boolean;
}

export const compareHelp = `usage: npm run bench -- compare [options]

Shoal and others on the same machine and data, one after another, figures at equal recall.

  --dataset NAME   ${datasetNames.join(', ')} or both, both
  --peers LIST     ${peerNames.join(',')}, all;
                   and servers that run already: ${remoteNames.map((name) => `${name}=ADDRESS`).join(', ')};
                   NAME:N for fewer runs of one that takes long
  --points N       import at most N points
  --queries N      held-out queries, 2000
  --runs N         the median of so many whole runs, 3
  --ef LIST        breadths of search, 16,32,64,128,256,512,1024,2048; stops at a recall of 0.995
  --resume DIR     go on with an earlier comparison, whose directory it printed: what was measured is not repeated
  --output FORMAT  table or json
  --write-docs     write the tables into docs/benchmarks.md
  --help
`;

/** Undefined when help was asked for. Throws an Error with a sentence for bad usage. */
export function readCompareOptions(argv: readonly string[]): CompareOptions | undefined {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      dataset: { type: 'string', default: 'both' },
      peers: { type: 'string', default: peerNames.join(',') },
      points: { type: 'string' },
      queries: { type: 'string', default: '2000' },
      runs: { type: 'string', default: '3' },
      ef: { type: 'string', default: '16,32,64,128,256,512,1024,2048' },
      resume: { type: 'string' },
      output: { type: 'string', default: 'table' },
      'write-docs': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  if (positionals.length > 0) throw new Error(`compare takes options alone, not "${positionals[0]}"; see compare --help`);
  if (values.output !== 'table' && values.output !== 'json') throw new Error(`--output is table or json, not "${values.output}"`);
  if (values.resume !== undefined && values.dataset === 'both') throw new Error('--resume goes on with one data set: name it with --dataset');
  return {
    datasets: values.dataset === 'both' ? datasetNames : [oneOf('--dataset', datasetNames, values.dataset)],
    peers: list(values.peers).map(peerChoice),
    pointCount: values.points === undefined ? undefined : positiveInteger('--points', values.points),
    queryCount: positiveInteger('--queries', values.queries),
    runCount: positiveInteger('--runs', values.runs),
    breadths: list(values.ef).map((ef) => positiveInteger('--ef', ef)).sort((a, b) => a - b),
    resume: values.resume === undefined ? undefined : resolve(values.resume),
    output: values.output,
    writeDocs: values['write-docs'],
  };
}

function peerChoice(text: string): PeerChoice {
  const at = text.indexOf('=');
  if (at === -1) {
    const [name, runs] = text.split(':', 2) as [string, string | undefined];
    return { name: oneOf('--peers', peerNames, name), ...(runs === undefined ? {} : { runCount: positiveInteger(`--peers ${name}`, runs) }) };
  }
  return { name: oneOf('--peers with an address', remoteNames, text.slice(0, at)), address: text.slice(at + 1) };
}

function oneOf<Name extends string>(flag: string, names: readonly Name[], text: string): Name {
  const name = names.find((known) => known === text);
  if (name === undefined) throw new Error(`${flag} knows ${names.join(', ')}, not "${text}"`);
  return name;
}

function list(text: string): string[] {
  const items = text.split(',').map((item) => item.trim()).filter((item) => item !== '');
  if (items.length === 0) throw new Error('a list is empty');
  return items;
}

function positiveInteger(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value <= 0) throw new Error(`${flag} takes a positive integer, not "${text}"`);
  return value;
}
