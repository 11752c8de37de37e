/** shoal collection create | list | get | update | delete */

import { CollectionServiceService as service, type Collection, type PayloadIndex } from '../../../proto/gen/shoal/v1/collection.ts';
import { payloadIndexTypes } from '../../domain/filter.ts';
import { withConnection } from '../connection.ts';
import { UsageError } from '../exit-codes.ts';
import { byteText, note, printResult, timeText, type Listing } from '../output.ts';
import { plain } from '../plain.ts';
import type { CommandContext } from '../terminal.ts';

export interface CreateOptions {
  readonly dimension: number;
  readonly metric?: string;
  readonly shards?: number;
  readonly replicas?: number;
  readonly minInSync?: number;
  readonly index?: string;
  readonly m?: number;
  readonly efConstruction?: number;
  readonly efSearch?: number;
  readonly quantization?: string;
  readonly payloadIndex?: readonly string[];
}

export async function createCollection(context: CommandContext, [name]: readonly string[], options: CreateOptions): Promise<void> {
  const answer = await withConnection(context, (connection) =>
    connection.call(service.createCollection, {
      name: name!,
      dimension: options.dimension,
      metric: options.metric,
      shards: options.shards,
      replication: { replicas: options.replicas, minInSync: options.minInSync },
      index: { type: options.index, m: options.m, efConstruction: options.efConstruction, efSearch: options.efSearch, quantization: options.quantization },
      payloadIndexes: payloadIndexes(options.payloadIndex),
    }),
  );
  if (!answer.created) note(context, `collection "${name}" exists already, with the same settings`);
  printResult(context, plain(answer), () => collectionTable([answer.collection!]));
}

export async function listCollections(context: CommandContext): Promise<void> {
  const { collections } = await withConnection(context, (connection) => connection.call(service.listCollections, {}));
  printResult(context, plain(collections), () => collectionTable(collections));
}

export async function getCollection(context: CommandContext, [name]: readonly string[]): Promise<void> {
  const { collection } = await withConnection(context, (connection) => connection.call(service.getCollection, { name: name! }));
  printResult(context, plain(collection), () => collectionPage(collection!));
}

export interface UpdateOptions {
  readonly efSearch?: number;
  readonly payloadIndex?: readonly string[];
  /** False: all are removed. */
  readonly payloadIndexes?: boolean;
  readonly replicas?: number;
  readonly minInSync?: number;
}

export async function updateCollection(context: CommandContext, [name]: readonly string[], options: UpdateOptions): Promise<void> {
  const clear = options.payloadIndexes === false;
  const { efSearch, replicas, minInSync } = options;
  if ([efSearch, options.payloadIndex, replicas, minInSync].every((given) => given === undefined) && !clear) {
    throw new UsageError('nothing to change: give --ef-search, --payload-index, --no-payload-indexes, --replicas or --min-in-sync');
  }
  if (clear && options.payloadIndex !== undefined) throw new UsageError('--payload-index and --no-payload-indexes exclude each other');
  const { collection } = await withConnection(context, (connection) =>
    connection.call(service.updateCollection, {
      name: name!,
      efSearch,
      replication: replicas === undefined && minInSync === undefined ? undefined : { replicas, minInSync },
      payloadIndexes: clear || options.payloadIndex !== undefined ? { payloadIndexes: payloadIndexes(options.payloadIndex) } : undefined,
    }),
  );
  printResult(context, plain(collection), () => collectionPage(collection!));
}

export async function deleteCollection(context: CommandContext, [name]: readonly string[]): Promise<void> {
  await withConnection(context, (connection) => connection.call(service.deleteCollection, { name: name! }));
  printResult(context, { deleted: name }, () => `deleted collection "${name}"`);
}

function payloadIndexes(texts: readonly string[] = []): PayloadIndex[] {
  return texts.map((text) => {
    const colon = text.lastIndexOf(':');
    const type = text.slice(colon + 1);
    if (colon < 1 || !(payloadIndexTypes as readonly string[]).includes(type)) {
      throw new UsageError(`--payload-index must be FIELD:TYPE with a type of ${payloadIndexTypes.join(', ')}; it is "${text}"`);
    }
    return { field: text.slice(0, colon), type };
  });
}

function collectionTable(collections: readonly Collection[]): Listing {
  return {
    columns: ['NAME', 'PHASE', 'DIMENSION', 'METRIC', 'INDEX', 'SHARDS', 'POINTS', 'CREATED'],
    rows: collections.map(({ spec, phase, pointCount, shards, createdAtMs }) => [spec?.name, phase, spec?.dimension, spec?.metric, spec?.index?.type, `${shards.filter((shard) => shard.ready).length}/${shards.length}`, Number(pointCount), timeText(Number(createdAtMs))]),
  };
}

function collectionPage(collection: Collection): Listing {
  const { spec, shards } = collection;
  const indexes = (spec?.payloadIndexes ?? []).map(({ field, type }) => `${field}:${type}`).join(', ');
  return {
    columns: ['SHARD', 'READY', 'PRIMARY', 'TERM', 'POINTS', 'IN GRAPH', 'IN TAIL', 'APPLIED', 'CHECKPOINT', 'INDEX MEMORY'],
    rows: shards.map((shard) => {
      const statistics = shard.statistics;
      return [
        shard.index, shard.ready ? 'yes' : `no: ${shard.because ?? ''}`, shard.primary, Number(shard.term), Number(shard.pointCount), Number(statistics?.graphPointCount ?? 0),
        Number(statistics?.tailPointCount ?? 0), Number(statistics?.appliedSeq ?? 0), Number(statistics?.checkpointSeq ?? 0), byteText(Number(statistics?.indexMemoryBytes ?? 0)),
      ];
    }),
    footer: `\n${spec?.name}: ${collection.phase}, ${collection.pointCount} points of dimension ${spec?.dimension}, ${spec?.metric}, ${spec?.index?.type} (m ${spec?.index?.m}, ef construction ${spec?.index?.efConstruction}, ef search ${spec?.index?.efSearch}, quantization ${spec?.index?.quantization}); payload indexes: ${indexes === '' ? 'none' : indexes}`,
  };
}
