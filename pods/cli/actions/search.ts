/** shoal search */

import { PointServiceService } from '../../../proto/gen/shoal/v1/point.ts';
import { SearchServiceService as service } from '../../../proto/gen/shoal/v1/search.ts';
import { ShoalError } from '../../kernel/errors.ts';
import { limits } from '../../kernel/limits.ts';
import { filterArgument, vectorArgument } from '../arguments.ts';
import { withConnection, type Connection } from '../connection.ts';
import { UsageError } from '../exit-codes.ts';
import { note, payloadText, printResult, vectorText } from '../output.ts';
import { plain } from '../plain.ts';
import type { CommandContext } from '../terminal.ts';
import { packVector, shownPoint } from '../wire.ts';
import { jsonPoint } from './points.ts';

export interface SearchOptions {
  readonly vector?: string;
  readonly id?: string;
  readonly filter?: string;
  readonly topK: number;
  readonly ef?: number;
  readonly exact?: boolean;
  readonly scoreThreshold?: number;
  readonly includeVectors?: boolean;
  readonly countVisited?: boolean;
}

export async function search(context: CommandContext, [collection]: readonly string[], options: SearchOptions): Promise<void> {
  if ((options.vector === undefined) === (options.id === undefined)) throw new UsageError('give either --vector or --id');
  const answer = await withConnection(context, async (connection) => {
    const packedVector = options.vector === undefined ? await vectorOfPoint(connection, collection!, options.id!) : packVector(vectorArgument(options.vector));
    return connection.call(service.search, {
      collection: collection!,
      query: {
        vector: [],
        packedVector,
        // The point itself is nearest to its vector, and left out below.
        topK: options.id === undefined ? options.topK : Math.min(options.topK + 1, limits.topKMax),
        filter: filterArgument(options.filter),
        ef: options.ef,
        exact: options.exact ?? false,
        scoreThreshold: options.scoreThreshold,
        includeVector: options.includeVectors ?? false,
        includePayload: true,
        packVectors: true,
        consistency: undefined,
        partialAfterMs: undefined,
        countVisited: options.countVisited ?? false,
      },
    });
  });
  const hits = answer.hits
    .filter((hit) => hit.id !== options.id)
    .slice(0, options.topK)
    .map((hit) => ({ ...shownPoint(hit), score: hit.score }));
  if (answer.partial) note(context, 'some shards did not answer in time');
  printResult(context, { hits: hits.map(jsonPoint), shards: plain(answer.shards), partial: answer.partial }, () => ({
    columns: ['SCORE', 'ID', 'PAYLOAD', ...(options.includeVectors === true ? ['VECTOR'] : [])],
    rows: hits.map((hit) => [hit.score.toFixed(6), hit.id, payloadText(hit.payload), ...(options.includeVectors === true ? [vectorText(hit.vector)] : [])]),
  }));
}

async function vectorOfPoint(connection: Connection, collection: string, id: string): Promise<Uint8Array> {
  const { points } = await connection.call(PointServiceService.getPoints, { collection, ids: [id], includeVector: true, includePayload: false, packVectors: true, consistency: undefined });
  if (points[0] === undefined) throw new ShoalError('POINT_NOT_FOUND', `collection "${collection}" has no point "${id}"`);
  return points[0].packedVector;
}
