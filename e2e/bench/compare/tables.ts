/** The tables of a comparison: medians of the runs, first as cells, then as Markdown. */

import { formatNumber, median } from '../report.ts';
import type { RunFigures, SearchRow } from './course.ts';
import { figureAtRecall, type FigureAtRecall } from './equal-recall.ts';

export const recalls = [0.9, 0.95, 0.956, 0.98, 0.99] as const;
/** The floor that the others are held against. */
const floorName = 'hnswlib';

export interface PeerResult {
  readonly name: string;
  readonly kind: string;
  readonly about: string;
  readonly version: string | null;
  readonly runs: readonly RunFigures[];
  /** Why there are no runs, or fewer than were asked for. */
  readonly failure: string | null;
}

export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

type SearchFigure = 'queriesPerSecond' | 'cpuMicrosPerQuery' | 'p50Ms' | 'p99Ms';

const none = '–';

export function comparisonTables(results: readonly PeerResult[]): Table[] {
  return [peersTable(results), ...recalls.map((recall) => recallTable(results, recall)), costsTable(results)];
}

function peersTable(results: readonly PeerResult[]): Table {
  const rows = results.map(({ name, version, kind, about, runs, failure }) => [name, version ?? none, kind, about, [runsText(runs.length), ...(failure === null ? [] : [oneLine(failure)])].join('; ')]);
  return { title: 'What ran', head: ['', 'version', 'what', 'how', 'result'], rows };
}

function recallTable(results: readonly PeerResult[], recall: number): Table {
  const cpuOf = (result: PeerResult | undefined, inFlight: number): FigureAtRecall | undefined => result && medianAtRecall(result.runs, recall, inFlight, 'cpuMicrosPerQuery');
  const floor = results.find(({ name }) => name === floorName);
  const rows = results.map((result) => {
    const cell = (inFlight: number, figure: SearchFigure): string => atRecallText(medianAtRecall(result.runs, recall, inFlight, figure), figure);
    const times = (inFlight: number): string => ratioText(cpuOf(result, inFlight), cpuOf(floor, inFlight));
    const perClients = (inFlight: number): string[] => [cell(inFlight, 'cpuMicrosPerQuery'), times(inFlight), cell(inFlight, 'queriesPerSecond'), `${cell(inFlight, 'p50Ms')} / ${cell(inFlight, 'p99Ms')}`];
    return [result.name, ...perClients(1), ...perClients(16)];
  });
  const head = (inFlight: number): string[] => [`CPU µs/query, ${inFlight} in flight`, `times ${floorName}`, 'queries/s', 'p50 / p99 ms'];
  return { title: `At recall@10 ${recall}`, head: ['', ...head(1), ...head(16)], rows };
}

function costsTable(results: readonly PeerResult[]): Table {
  const head = ['', 'points/s', 'CPU µs/insert', `times ${floorName}`, 'resident MiB', 'anonymous MiB', 'disk MiB', 'restart ms'];
  const of = (result: PeerResult | undefined, name: Exclude<keyof RunFigures, 'searches'>): number | undefined => medianOf(result?.runs.map((run) => run[name]) ?? []);
  const floor = of(results.find(({ name }) => name === floorName), 'cpuMicrosPerInsert');
  const mebibytes = (bytes: number | undefined): string => numberText(bytes === undefined ? undefined : bytes / 1024 ** 2);
  const rows = results.map((result) => {
    const cpu = of(result, 'cpuMicrosPerInsert');
    return [
      result.name,
      numberText(of(result, 'pointsPerSecond')),
      numberText(cpu),
      cpu === undefined || floor === undefined ? none : (cpu / floor).toFixed(2),
      mebibytes(of(result, 'residentBytes')),
      mebibytes(of(result, 'anonymousBytes')),
      mebibytes(of(result, 'diskBytes')),
      numberText(of(result, 'restartMs')),
    ];
  });
  return { title: 'Import, sizes, restart', head, rows };
}

/** The figure of each run at that recall, and the median of the runs that have one. */
export function medianAtRecall(runs: readonly RunFigures[], recall: number, inFlight: number, figure: SearchFigure): FigureAtRecall | undefined {
  const figures = runs.map(({ searches }) => figureAtRecall(measured(searches, inFlight, figure), recall));
  const between = figures.flatMap((at) => (at.is === 'between' ? [at.figure] : []));
  if (between.length * 2 > figures.length) return { is: 'between', figure: median(between) };
  const narrowest = figures.flatMap((at) => (at.is === 'narrowest' ? [at] : []));
  if (narrowest.length > 0) return { is: 'narrowest', figure: median(narrowest.map((at) => at.figure)), recall: median(narrowest.map((at) => at.recall)) };
  return figures.length === 0 ? undefined : { is: 'not reached' };
}

function measured(searches: readonly SearchRow[], inFlight: number, figure: SearchFigure): { recall: number; figure: number }[] {
  return searches.flatMap((row) => (row.inFlight === inFlight && row[figure] !== null ? [{ recall: row.recall, figure: row[figure] }] : []));
}

function medianOf(values: readonly (number | null)[]): number | undefined {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? undefined : median(known);
}

/** Less would do where the narrowest search finds more; a rate could then be higher, everything else lower. */
function atRecallText(at: FigureAtRecall | undefined, figure: SearchFigure): string {
  if (at === undefined || at.is === 'not reached') return none;
  if (at.is === 'between') return formatNumber(rounded(at.figure));
  return `${figure === 'queriesPerSecond' ? '≥' : '≤'} ${formatNumber(rounded(at.figure))}`;
}

function ratioText(at: FigureAtRecall | undefined, floor: FigureAtRecall | undefined): string {
  return at?.is === 'between' && floor?.is === 'between' && floor.figure > 0 ? (at.figure / floor.figure).toFixed(2) : none;
}

function numberText(value: number | undefined): string {
  return value === undefined ? none : formatNumber(rounded(value));
}

/** Nothing is measured more finely. */
function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

function runsText(count: number): string {
  return count === 0 ? 'none' : count === 1 ? '1 run' : `${count} runs`;
}

function oneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length <= 160 ? line : `${line.slice(0, 159)}…`;
}

export function markdownTable({ head, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const textual = rows.length > 0 && rows[0]!.length === 5;
  return [line(head), `| --- |${head.slice(1).map(() => (textual ? ' --- |' : ' ---: |')).join('')}`, ...rows.map(line)].join('\n');
}
