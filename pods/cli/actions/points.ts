/** shoal points upsert | get | delete | scroll | count */

import { PointServiceService as service } from '../../../proto/gen/shoal/v1/point.ts';
import { CollectionServiceService } from '../../../proto/gen/shoal/v1/collection.ts';
import type { Metric } from '../../domain/metric.ts';
import type { Payload } from '../../domain/point.ts';
import { ShoalError } from '../../kernel/errors.ts';
import { limits } from '../../kernel/limits.ts';
import { filterArgument, jsonObjectArgument, vectorArgument } from '../arguments.ts';
import { withConnection, type Connection } from '../connection.ts';
import { UsageError } from '../exit-codes.ts';
import { shortFloats } from '../../domain/short-float.ts';
import type { FilePoint } from '../formats/point-file.ts';
import { badRowError, batchesOf } from '../import/batches.ts';
import { payloadText, printResult, vectorText, type Listing } from '../output.ts';
import { withRetries } from '../retry.ts';
import type { CommandContext } from '../terminal.ts';
import { pointUpsert, shownPoint, type ShownPoint } from '../wire.ts';

export const retryForMs = 30_000;

export interface UpsertOptions {
  readonly id?: string;
  readonly vector?: string;
  readonly payload?: string;
  readonly text?: string;
  readonly ifAbsent?: boolean;
  readonly ifVersion?: number;
  readonly file?: string;
}

export async function upsertPoints(context: CommandContext, [collection]: readonly string[], options: UpsertOptions): Promise<void> {
  const counts = await withConnection(context, (connection) => (options.id === undefined ? upsertFile(context, connection, collection!, options) : upsertOne(context, connection, collection!, options)));
  printResult(context, counts, () => `${counts.created} created, ${counts.updated} updated`);
}

interface UpsertCounts {
  created: number;
  updated: number;
}

async function upsertOne(context: CommandContext, connection: Connection, collection: string, options: UpsertOptions): Promise<UpsertCounts> {
  if (options.vector === undefined) throw new UsageError('--id needs --vector');
  if (options.file !== undefined) throw new UsageError('--id and --file exclude each other');
  if (options.ifAbsent === true && options.ifVersion !== undefined) throw new UsageError('--if-absent and --if-version exclude each other');
  const point: FilePoint = {
    id: options.id!,
    vector: vectorArgument(options.vector),
    payload: (options.payload === undefined ? {} : jsonObjectArgument(options.payload, '--payload')) as Payload,
    ...(options.text === undefined ? {} : { text: options.text }),
  };
  const condition =
    options.ifAbsent === true
      ? { kind: { $case: 'absent' as const, absent: true } }
      : options.ifVersion === undefined
        ? undefined
        : { kind: { $case: 'version' as const, version: BigInt(options.ifVersion) } };
  const request = { collection, points: [{ ...pointUpsert(point), condition }], clientId: context.terminal.random.uuid(), requestNumber: 1n };
  const { items } = await withRetries(context.terminal, retryForMs, () => connection.call(service.upsertPoints, request));
  if (items[0]?.outcome === 'condition-failed') throw new ShoalError('CONDITION_FAILED', `point "${point.id}" was not written: it is at version ${items[0].version}`);
  return countOutcomes(items);
}

/** JSON Lines of a file or of standard input, in batches. */
async function upsertFile(context: CommandContext, connection: Connection, collection: string, options: UpsertOptions): Promise<UpsertCounts> {
  if (options.vector ?? options.payload ?? options.text ?? options.ifVersion ?? options.ifAbsent) throw new UsageError('--vector, --payload, --text and conditions belong to one point: name it by --id');
  const { terminal } = context;
  const { openReader } = await import('../formats/open-format.ts');
  const file = options.file ?? '-';
  const reader = await openReader('jsonl', file === '-' ? terminal.stdin : file, {});
  const target = await batchTarget(connection, collection);
  const clientId = terminal.random.uuid();
  const counts: UpsertCounts = { created: 0, updated: 0 };
  const name = file === '-' ? 'standard input' : file;
  const bounds = { pointCountMax: limits.importBatchPointCountDefault, bytesMax: limits.importBatchBytesMax, badRowCountMax: 0 };
  for await (const batch of batchesOf(reader, { position: reader.begin, batch: 0 }, target, bounds, terminal.signal)) {
    if (batch.badRows[0] !== undefined) throw badRowError(name, reader.unit, batch.badRows[0]);
    const request = { collection, points: batch.points.map(pointUpsert), clientId, requestNumber: BigInt(batch.number) };
    const { items } = await withRetries(terminal, retryForMs, () => connection.call(service.upsertPoints, request));
    const counted = countOutcomes(items);
    counts.created += counted.created;
    counts.updated += counted.updated;
  }
  return counts;
}

export async function batchTarget(connection: Connection, name: string): Promise<{ dimension: number; metric: Metric; uid: string }> {
  const { collection } = await connection.call(CollectionServiceService.getCollection, { name });
  return { dimension: collection!.spec!.dimension, metric: collection!.spec!.metric as Metric, uid: collection!.uid };
}

function countOutcomes(items: readonly { outcome: string }[]): UpsertCounts {
  const created = items.filter((item) => item.outcome === 'created').length;
  return { created, updated: items.length - created };
}

export async function getPoints(context: CommandContext, [collection, ...ids]: readonly string[], options: { includeVectors?: boolean }): Promise<void> {
  const answer = await withConnection(context, (connection) =>
    connection.call(service.getPoints, { collection: collection!, ids, includeVector: options.includeVectors ?? false, includePayload: true, packVectors: true, consistency: undefined }),
  );
  const points = answer.points.map(shownPoint);
  printResult(context, points.map(jsonPoint), () => pointTable(points));
  const [missing] = answer.missingIds;
  if (missing !== undefined) {
    const others = answer.missingIds.length > 1 ? ` and ${answer.missingIds.length - 1} more` : '';
    throw new ShoalError('POINT_NOT_FOUND', `collection "${collection}" has no point "${missing}"${others}`);
  }
}

export async function deletePoints(context: CommandContext, [collection, ...ids]: readonly string[], options: { filter?: string }): Promise<void> {
  if ((ids.length === 0) === (options.filter === undefined)) throw new UsageError('name points by their ids, or give --filter');
  const { terminal } = context;
  const identity = { clientId: terminal.random.uuid(), requestNumber: 1n };
  const deleted = await withConnection(context, async (connection) => {
    if (options.filter !== undefined) {
      const filter = filterArgument(options.filter);
      const answer = await withRetries(terminal, retryForMs, () => connection.call(service.deletePointsByFilter, { collection: collection!, filter, ...identity }));
      return Number(answer.deletedCount);
    }
    const points = ids.map((id) => ({ id, condition: undefined }));
    const { items } = await withRetries(terminal, retryForMs, () => connection.call(service.deletePoints, { collection: collection!, points, ...identity }));
    return items.filter((item) => item.outcome === 'deleted').length;
  });
  printResult(context, { deleted }, () => `${deleted} deleted`);
  if (options.filter === undefined && deleted < ids.length) throw new ShoalError('POINT_NOT_FOUND', `${ids.length - deleted} of ${ids.length} points did not exist`);
}

export async function scrollPoints(context: CommandContext, [collection]: readonly string[], options: { filter?: string; limit?: number; cursor?: string; includeVectors?: boolean }): Promise<void> {
  const answer = await withConnection(context, (connection) =>
    connection.call(service.scrollPoints, {
      collection: collection!,
      filter: filterArgument(options.filter),
      cursor: options.cursor ?? '',
      limit: options.limit,
      includeVector: options.includeVectors ?? false,
      includePayload: true,
      packVectors: true,
      consistency: undefined,
    }),
  );
  const points = answer.points.map(shownPoint);
  printResult(context, { points: points.map(jsonPoint), ...(answer.nextCursor === undefined ? {} : { nextCursor: answer.nextCursor }) }, () => ({
    ...pointTable(points),
    ...(answer.nextCursor === undefined ? {} : { footer: `\nmore: --cursor ${answer.nextCursor}` }),
  }));
}

export async function countPoints(context: CommandContext, [collection]: readonly string[], options: { filter?: string }): Promise<void> {
  const answer = await withConnection(context, (connection) => connection.call(service.countPoints, { collection: collection!, filter: filterArgument(options.filter), consistency: undefined }));
  printResult(context, { count: Number(answer.count) }, () => String(answer.count));
}

export function jsonPoint(point: ShownPoint): unknown {
  return { ...point, ...(point.vector === undefined ? {} : { vector: shortFloats(point.vector) }) };
}

function pointTable(points: readonly ShownPoint[]): Listing {
  const withVectors = points.some((point) => point.vector !== undefined);
  return {
    columns: ['ID', 'VERSION', 'PAYLOAD', ...(withVectors ? ['VECTOR'] : [])],
    rows: points.map((point) => [point.id, point.version, payloadText(point.payload), ...(withVectors ? [vectorText(point.vector)] : [])]),
  };
}
