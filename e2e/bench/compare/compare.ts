/** `npm run bench -- compare`: Shoal and peers, one after another, several times, on the same machine and data. */

import { join } from 'node:path';
import { loadDataset } from '../dataset.ts';
import { groundTruth } from '../ground-truth.ts';
import { clientCore, loadNow, machineFacts, pinClient, serverCore } from '../machine.ts';
import { formatNumber, printTable, say, writeResults } from '../report.ts';
import { killServers } from '../server-process.ts';
import { killOwnProcesses } from './child-process.ts';
import { runCourse, type Course, type RunFigures } from './course.ts';
import { writeDocumentation } from './documentation.ts';
import { cacheRoot } from './installed-programs.ts';
import { KeptRuns } from './kept-runs.ts';
import { compareHelp, readCompareOptions, type CompareOptions, type DatasetName, type PeerChoice } from './options.ts';
import { graphParameters, topK, type Peer } from './peer.ts';
import { chroma } from './peers/chroma.ts';
import { hnswlib, hnswlibForNode, lancedb, milvus, milvusLite, usearch } from './peers/libraries.ts';
import { qdrantAt } from './peers/qdrant.ts';
import { shoal, shoalInt8 } from './peers/shoal.ts';
import { weaviate, weaviateAt } from './peers/weaviate.ts';
import { comparisonTables, type PeerResult } from './tables.ts';

const started: Readonly<Record<string, () => Peer>> = { shoal, 'shoal-int8': shoalInt8, hnswlib, 'hnswlib-node': hnswlibForNode, usearch, chroma, weaviate, 'milvus-lite': milvusLite, lancedb };
const addressed: Readonly<Record<string, (address: string) => Peer>> = { qdrant: qdrantAt, weaviate: weaviateAt, milvus };

/** Its own flags, because they are others than those of the benchmarks of Shoal alone. Returns the exit code. */
export async function runComparison(argv: readonly string[]): Promise<number> {
  let options: CompareOptions | undefined;
  try {
    options = readCompareOptions(argv);
  } catch (error) {
    say((error as Error).message);
    return 2;
  }
  if (options === undefined) {
    process.stdout.write(compareHelp);
    return 0;
  }
  try {
    const prepared = await prepareAll(options.peers);
    for (const dataset of options.datasets) await compareOn(dataset, prepared, options);
    return 0;
  } finally {
    killOwnProcesses();
  }
}

interface Prepared {
  readonly peer: Peer;
  /** Undefined: as many as of all. */
  readonly runCount: number | undefined;
  readonly version: string | null;
  readonly failure: string | null;
}

/** Before anything is measured: compilers would use the machine otherwise. */
async function prepareAll(choices: readonly PeerChoice[]): Promise<Prepared[]> {
  const prepared: Prepared[] = [];
  for (const { name, address, runCount } of choices) {
    const peer = address === undefined ? started[name]!() : addressed[name]!(address);
    try {
      prepared.push({ peer, runCount, version: await peer.prepare(), failure: null });
    } catch (error) {
      say(`${peer.name} cannot be compared: ${(error as Error).message}`);
      prepared.push({ peer, runCount, version: null, failure: `cannot run: ${(error as Error).message}` });
    }
  }
  return prepared;
}

async function compareOn(name: DatasetName, prepared: readonly Prepared[], options: CompareOptions): Promise<void> {
  const loadBefore = loadNow();
  const dataset = await loadDataset(name, options.pointCount, options.queryCount);
  const truth = await groundTruth(dataset, topK);
  const pinned = pinClient();
  const machine = machineFacts(pinned, loadBefore);
  const date = new Date().toISOString();
  const parameters = { source: dataset.source, points: dataset.pointCount, queries: dataset.queryCount, dimension: dataset.dimension, topK, ...graphParameters, breadths: options.breadths };
  const course: Course = { dataset, truth, breadths: options.breadths, serverCore: pinned ? serverCore : undefined };
  const kept = await KeptRuns.in(options.resume ?? join(cacheRoot(), 'compare', `${date.replaceAll(':', '').slice(0, 17)}-${name}`));
  const runs = new Map<Prepared, RunFigures[]>(prepared.map((one) => [one, []]));
  const failures = new Map<Prepared, string>(prepared.flatMap((one) => (one.failure === null ? [] : [[one, one.failure]])));
  // Whole runs after one another, so that what happens on the machine for a while does not meet one peer alone.
  for (let run = 1; run <= options.runCount; run++) {
    for (const one of prepared) {
      if (failures.has(one) || run > (one.runCount ?? options.runCount)) continue;
      const earlier = await kept.read(one.peer.name, run, parameters);
      if (earlier !== undefined) {
        say(`${name}, run ${run} of ${options.runCount}: ${one.peer.name}, as measured on ${earlier.date}`);
        runs.get(one)!.push(earlier.figures);
        continue;
      }
      say(`${name}, run ${run} of ${options.runCount}: ${one.peer.name}`);
      const before = loadNow();
      try {
        const figures = await runCourse(one.peer, course);
        runs.get(one)!.push(figures);
        await kept.write(run, { peer: one.peer.name, version: one.version, date, machine, parameters, loadBefore: before, loadAfter: loadNow(), figures });
      } catch (error) {
        say(`${one.peer.name}: ${(error as Error).stack}`);
        failures.set(one, (error as Error).message);
        killServers();
        killOwnProcesses();
      }
    }
  }
  const results = prepared.map((one): PeerResult => {
    const { peer, version } = one;
    return { name: peer.name, kind: peer.kind, about: peer.about, version, runs: runs.get(one)!, failure: failures.get(one) ?? null };
  });
  const tables = comparisonTables(results);
  const facts =
    `${date.slice(0, 10)}, ${formatNumber(dataset.pointCount)} points of ${dataset.dimension} dimensions, cosine, ${formatNumber(dataset.queryCount)} queries, ` +
    `medians of the runs that each has; ${machine.processor}, ${machine.cores} cores, Node ${machine.node}; ` +
    `${pinned ? `servers on core ${serverCore}, client on core ${clientCore}` : 'nothing pinned'}; load ${loadBefore.toFixed(1)} before, ${loadNow().toFixed(1)} after.`;
  await writeResults(join(kept.directory, 'comparison.json'), { benchmark: 'compare', dataset: name, date, machine, parameters, loadBefore, loadAfter: loadNow(), results });
  if (options.output === 'json') process.stdout.write(`${JSON.stringify({ dataset: name, date, machine, parameters, results })}\n`);
  else {
    process.stdout.write(`${name}: ${facts}\n`);
    for (const { title, head, rows } of tables) printTable(title, head, rows);
  }
  say(`raw figures of each run in ${kept.directory}`);
  if (options.writeDocs) await writeDocumentation({ name, facts, tables });
}
