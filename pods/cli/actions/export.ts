/** shoal export */

import { access, open, rename, rm } from 'node:fs/promises';
import { CollectionServiceService } from '../../../proto/gen/shoal/v1/collection.ts';
import { PointServiceService, type ScrollPointsResponse } from '../../../proto/gen/shoal/v1/point.ts';
import { hasCode, ShoalError } from '../../kernel/errors.ts';
import { limits } from '../../kernel/limits.ts';
import { filterArgument } from '../arguments.ts';
import { withConnection, type Connection } from '../connection.ts';
import { UsageError } from '../exit-codes.ts';
import { formatOf, keepsIds, openWriter } from '../formats/open-format.ts';
import { textWriter } from '../formats/jsonl.ts';
import { formatNames, type FilePoint, type FormatName, type PointWriter } from '../formats/point-file.ts';
import { nameLine } from '../formats/row-names.ts';
import { durationText, startProgress } from '../import/progress.ts';
import { note, printResult } from '../output.ts';
import { withRetries } from '../retry.ts';
import type { CommandContext } from '../terminal.ts';
import { shownPoint } from '../wire.ts';
import { retryForMs } from './points.ts';

export interface ExportOptions {
  readonly collection: string;
  readonly format?: FormatName;
  readonly filter?: string;
  readonly idsFile?: string;
  readonly force?: boolean;
}

/** The file appears when it is complete: until then it is written beside it, under another name. */
export async function exportFile(context: CommandContext, [file]: readonly string[], options: ExportOptions): Promise<void> {
  const { terminal } = context;
  const format = options.format ?? formatOf(file!);
  if (format === undefined) throw new UsageError(`the ending of "${file}" names no format; give --format ${formatNames.join('|')}`);
  const files = [file!, ...(options.idsFile === undefined ? [] : [options.idsFile])];
  if (options.force !== true) for (const path of files) await refuseExisting(path);
  if (!keepsIds(format) && options.idsFile === undefined) note(context, `${format} holds vectors alone; ids and payloads are kept with --ids-file`);

  const startedMs = terminal.clock.monotonicMs();
  const count = await withConnection(context, async (connection) => {
    const writers: PointWriter[] = [];
    const partial = (path: string): string => `${path}.partial`;
    try {
      writers.push(await openWriter(format, partial(file!)));
      if (options.idsFile !== undefined) writers.push(textWriter(await open(partial(options.idsFile), 'w'), (points) => points.map((point) => `${nameLine(point)}\n`).join('')));
      const written = await copyPoints(context, connection, options, writers);
      for (const writer of writers.splice(0)) await writer.finish();
      for (const path of files) await rename(partial(path), path);
      return written;
    } catch (error) {
      for (const writer of writers) await writer.abandon().catch(() => undefined);
      for (const path of files) await rm(partial(path), { force: true });
      throw error;
    }
  });
  const seconds = (terminal.clock.monotonicMs() - startedMs) / 1_000;
  printResult(context, { file, collection: options.collection, points: count, seconds: Number(seconds.toFixed(3)) }, () => `exported ${count.toLocaleString('en')} points of "${options.collection}" to ${file} in ${durationText(seconds)}`);
}

async function refuseExisting(path: string): Promise<void> {
  const exists = await access(path).then(() => true, () => false);
  if (exists) throw new UsageError(`${path} exists; overwrite it with --force`);
}

async function copyPoints(context: CommandContext, connection: Connection, options: ExportOptions, writers: readonly PointWriter[]): Promise<number> {
  const filter = filterArgument(options.filter);
  const { collection } = await connection.call(CollectionServiceService.getCollection, { name: options.collection });
  const expected = filter === undefined ? Number(collection!.pointCount) : undefined;
  // A guess at the size of payloads; a page that is too large is asked for again in halves.
  let limit = Math.min(limits.scrollLimitMax, Math.max(1, Math.floor(limits.exportPageBytesTarget / (collection!.spec!.dimension * 4 + 512))));
  const page = async (cursor: string): Promise<ScrollPointsResponse> => {
    for (;;) {
      try {
        const request = { collection: options.collection, filter, cursor, limit, includeVector: true, includePayload: true, packVectors: true, consistency: undefined };
        return await withRetries(context.terminal, retryForMs, () => connection.call(PointServiceService.scrollPoints, request));
      } catch (error) {
        if (!hasCode(error, 'RESPONSE_TOO_LARGE') || limit === 1) throw error;
        limit = Math.ceil(limit / 2);
      }
    }
  };
  const progress = await startProgress(context.terminal, context.options.quiet === true, 'export');
  let count = 0;
  try {
    for (let cursor: string | undefined = ''; cursor !== undefined; ) {
      context.terminal.signal.throwIfAborted();
      const answer: ScrollPointsResponse = await page(cursor);
      const points = answer.points.map(filePoint);
      for (const writer of writers) await writer.write(points);
      count += points.length;
      if (answer.nextCursor === cursor) throw new ShoalError('INTERNAL', 'the server gave the same cursor twice');
      cursor = answer.nextCursor;
      progress.update(count, expected === undefined || expected === 0 ? undefined : Math.min(1, count / expected));
    }
  } finally {
    progress.stop();
  }
  return count;
}

function filePoint(point: ScrollPointsResponse['points'][number]): FilePoint {
  const { id, vector, payload, text } = shownPoint(point);
  return { id, vector: vector ?? new Float32Array(0), payload: payload ?? {}, ...(text === undefined ? {} : { text }) };
}
