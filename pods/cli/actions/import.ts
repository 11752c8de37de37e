/** shoal import */

import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { CollectionServiceService } from '../../../proto/gen/shoal/v1/collection.ts';
import { PointServiceService } from '../../../proto/gen/shoal/v1/point.ts';
import { hasCode, ShoalError } from '../../kernel/errors.ts';
import { limits } from '../../kernel/limits.ts';
import { withConnection, type Connection } from '../connection.ts';
import { InterruptedError, UsageError } from '../exit-codes.ts';
import { formatOf, openReader } from '../formats/open-format.ts';
import { cellTypes, formatNames, type CellType, type FormatName, type PointReader, type ReaderOptions } from '../formats/point-file.ts';
import { badRowText, type BadRow, type Batch } from '../import/batches.ts';
import { runImport, type ImportOutcome } from '../import/importer.ts';
import { openJournal, readJournal, type ImportSource, type Journal, type JournalState } from '../import/journal.ts';
import { durationText, startProgress } from '../import/progress.ts';
import { note, printResult } from '../output.ts';
import type { CommandContext } from '../terminal.ts';
import { pointUpsert } from '../wire.ts';
import { batchTarget } from './points.ts';

export interface ImportOptions {
  readonly collection: string;
  readonly format?: FormatName;
  readonly create?: boolean;
  readonly metric?: string;
  readonly shards?: number;
  readonly idColumn?: string;
  readonly idPrefix?: string;
  readonly idsFile?: string;
  readonly vectorColumn?: string;
  readonly vectorColumns?: string;
  readonly payloadColumn?: string;
  readonly textColumn?: string;
  readonly columnTypes?: string;
  readonly delimiter?: string;
  readonly quote?: string;
  /** False with --no-header. */
  readonly header: boolean;
  readonly batchSize: number;
  readonly concurrency: number;
  readonly retryFor: number;
  readonly skipBadRows: number;
  readonly resume: 'auto' | 'always' | 'never';
  readonly progressFile?: string;
}

/** Listed in the result; every one is told on standard error. */
const badRowsListedMax = 100;

export async function importFile(context: CommandContext, [file]: readonly string[], options: ImportOptions): Promise<void> {
  const fromInput = file === '-';
  const format = options.format ?? formatOf(file!);
  if (format === undefined) throw new UsageError(`the ending of "${file}" names no format; give --format ${formatNames.join('|')}`);
  const readerOptions = readerOptionsOf(options);
  const reader = await openReader(format, fromInput ? context.terminal.stdin : file!, readerOptions);
  try {
    await withConnection(context, async (connection) => {
      if (options.create === true) await createFor(context, connection, reader, options, fromInput);
      const target = await batchTarget(connection, options.collection);
      const source = fromInput ? undefined : await sourceOf(file!, target.uid, format, readerOptions, options);
      const journal = source === undefined ? memoryJournal(context) : startJournal(context, source, options.progressFile ?? `${file}.shoal-import.json`, options.resume);
      await transfer(context, connection, { file: fromInput ? 'standard input' : file!, reader, target, journal }, options);
    });
  } finally {
    await reader.close();
  }
}

interface Transfer {
  readonly file: string;
  readonly reader: PointReader;
  readonly target: Awaited<ReturnType<typeof batchTarget>>;
  readonly journal: Journal;
}

async function transfer(context: CommandContext, connection: Connection, { file, reader, target, journal }: Transfer, options: ImportOptions): Promise<void> {
  const { terminal } = context;
  const begin = journal.state;
  const resumed = begin.floor.batch > 0 || begin.above.size > 0;
  if (resumed) note(context, `going on after ${pointsOf(begin).toLocaleString('en')} points that are acknowledged`);
  const progress = await startProgress(terminal, context.options.quiet === true, 'import');
  const badRows: BadRow[] = [];
  const startedMs = terminal.clock.monotonicMs();
  // A batch under way is finished when the user stops the import.
  const untilDone = new AbortController().signal;
  const send = async (batch: Batch, clientId: string): Promise<void> => {
    const request = { collection: options.collection, points: batch.points.map(pointUpsert), clientId, requestNumber: BigInt(batch.number) };
    await connection.call(PointServiceService.upsertPoints, request, { signal: untilDone });
  };
  let outcome: ImportOutcome;
  try {
    outcome = await runImport(terminal, {
      file,
      reader,
      journal,
      target,
      bounds: { pointCountMax: options.batchSize, bytesMax: limits.importBatchBytesMax, badRowCountMax: options.skipBadRows },
      slots: options.concurrency,
      retryForMs: options.retryFor * 1_000,
      send,
      onAcknowledged: (state) => progress.update(pointsOf(state), state.floor.batch === 0 ? 0 : reader.fractionAt(state.floor.after)),
      onBadRow(row) {
        progress.note(`left out: ${badRowText(file, reader.unit, row)}`);
        if (badRows.length < badRowsListedMax) badRows.push(row);
      },
      onRetry: (error) => progress.note(`again after ${error.code}: ${error.message}`),
    });
  } catch (error) {
    progress.stop();
    journal.close();
    if (error instanceof InterruptedError) throw new InterruptedError(`stopped after ${pointsOf(journal.state).toLocaleString('en')} acknowledged points of ${file}; the same command goes on from there`);
    throw error;
  }
  progress.stop();
  journal.remove();
  const seconds = (terminal.clock.monotonicMs() - startedMs) / 1_000;
  const { floor } = journal.state;
  const result = {
    file,
    collection: options.collection,
    points: floor.points,
    sentPoints: outcome.points,
    sentBatches: outcome.batches,
    retries: outcome.retries,
    resumed,
    badRows: floor.badRows,
    badRowList: badRows.map((row) => badRowText(file, reader.unit, row)),
    seconds: Number(seconds.toFixed(3)),
    pointsPerSecond: Math.round(outcome.points / Math.max(seconds, 0.001)),
  };
  printResult(context, result, () => {
    const leftOut = floor.badRows === 0 ? '' : `, ${floor.badRows} bad rows left out`;
    return `imported ${floor.points.toLocaleString('en')} points from ${file} into "${options.collection}" in ${durationText(seconds)} (${result.pointsPerSecond.toLocaleString('en')}/s)${leftOut}`;
  });
}

function pointsOf(state: JournalState): number {
  return [...state.above.values()].reduce((sum, entry) => sum + entry.points, state.floor.points);
}

function readerOptionsOf(options: ImportOptions): ReaderOptions {
  const [first, last, more] = options.vectorColumns?.split('..') ?? [];
  if (options.vectorColumns !== undefined && (!first || !last || more !== undefined)) throw new UsageError('--vector-columns must be FIRST..LAST');
  if (options.vectorColumns !== undefined && options.vectorColumn !== undefined) throw new UsageError('--vector-column and --vector-columns exclude each other');
  const { idColumn, idPrefix, idsFile, vectorColumn, payloadColumn, textColumn, delimiter, quote, header } = options;
  const given = { idColumn, idPrefix, idsFile, vectorColumn, payloadColumn, textColumn, delimiter: delimiter?.replace('\\t', '\t'), quote };
  return {
    ...(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as ReaderOptions),
    header,
    ...(first && last ? { vectorColumns: { first, last } } : {}),
    ...(options.columnTypes === undefined ? {} : { columnTypes: columnTypesOf(options.columnTypes) }),
  };
}

function columnTypesOf(text: string): ReadonlyMap<string, CellType> {
  return new Map(
    text.split(',').map((part) => {
      const equals = part.lastIndexOf('=');
      const type = cellTypes.find((name) => name === part.slice(equals + 1));
      if (equals < 1 || type === undefined) throw new UsageError(`--column-types must be NAME=TYPE,… with types of ${cellTypes.join(', ')}; "${part}" is not`);
      return [part.slice(0, equals), type];
    }),
  );
}

/** Creates the collection with the dimension of the file's first good row; one that exists stays as it is. */
async function createFor(context: CommandContext, connection: Connection, reader: PointReader, options: ImportOptions, fromInput: boolean): Promise<void> {
  const exists = await connection.call(CollectionServiceService.getCollection, { name: options.collection }).then(
    () => true,
    (error: unknown) => {
      if (hasCode(error, 'COLLECTION_NOT_FOUND')) return false;
      throw error;
    },
  );
  if (exists) return;
  if (fromInput) throw new UsageError('--create reads the beginning of the file twice, which standard input does not allow; use: shoal collection create');
  const dimension = await firstDimension(reader, context.terminal.signal);
  if (dimension === undefined) throw new ShoalError('INVALID_ARGUMENT', 'the file has no good row, so the dimension of the collection is not known');
  await connection.call(CollectionServiceService.createCollection, {
    name: options.collection,
    dimension,
    metric: options.metric,
    shards: options.shards,
    replication: undefined,
    index: undefined,
    payloadIndexes: [],
  });
  note(context, `created collection "${options.collection}" of dimension ${dimension}`);
}

async function firstDimension(reader: PointReader, signal: AbortSignal): Promise<number | undefined> {
  for await (const rows of reader.rows(reader.begin, signal)) {
    const row = rows.find(({ point }) => point !== undefined);
    if (row?.point !== undefined) return row.point.vector.length;
  }
  return undefined;
}

async function sourceOf(file: string, collectionUid: string, format: FormatName, readerOptions: ReaderOptions, options: ImportOptions): Promise<ImportSource> {
  const { size, mtimeMs } = await stat(file);
  const names = readerOptions.idsFile === undefined ? undefined : await stat(readerOptions.idsFile);
  const deciding = { format, ...readerOptions, columnTypes: [...(readerOptions.columnTypes ?? [])], batchSize: options.batchSize, idsFileSize: names?.size, idsFileModifiedMs: names?.mtimeMs };
  return { file: basename(resolve(file)), sizeBytes: size, modifiedMs: mtimeMs, collectionUid, options: JSON.stringify(deciding) };
}

function freshState(context: CommandContext): JournalState {
  return { clientId: `import-${context.terminal.random.uuid()}`, floor: { batch: 0, after: { row: 0, offset: 0, line: 1 }, points: 0, badRows: 0 }, above: new Map() };
}

function startJournal(context: CommandContext, source: ImportSource, path: string, resume: ImportOptions['resume']): Journal {
  const found = resume === 'never' ? 'absent' : readJournal(path, source);
  if (typeof found === 'object') return openJournal(path, source, found, context.terminal.clock);
  const because = found === 'absent' ? `there is no progress file ${path}` : `${path} belongs to another import: the file, the collection or the options differ`;
  if (resume === 'always') throw new UsageError(`nothing to go on with: ${because}`);
  if (found === 'other') note(context, `${because}; starting from the beginning`);
  return openJournal(path, source, freshState(context), context.terminal.clock);
}

/** Standard input cannot be read again, so there is nothing to keep. */
function memoryJournal(context: CommandContext): Journal {
  let state = freshState(context);
  return {
    get state() {
      return state;
    },
    acknowledge({ batch, after, points, badRows }) {
      const { floor } = state;
      state = { ...state, floor: { batch: Math.max(batch, floor.batch), after, points: floor.points + points, badRows: floor.badRows + badRows } };
    },
    renewClient(clientId) {
      state = { ...state, clientId };
    },
    close: () => undefined,
    remove: () => undefined,
  };
}
