/** The cluster in shoal.v1: gRPC service, HTTP routes. */

import { ClusterServiceDefinition } from '../../../proto/gen/shoal/v1/cluster.ts';
import type * as wire from '../../../proto/gen/shoal/v1/cluster.ts';
import type { ClusterStatus, PodDescription } from '../../api/vector-api.ts';
import { unary, type GrpcService } from '../dialect.ts';
import { strictDefinition } from '../grpc-definition.ts';
import { flag, list, named, number, object, optional, required, text, words } from '../json-decoder.ts';
import { jsonRoute, type JsonRoute } from './json-route.ts';

export const clusterService: GrpcService = {
  definition: strictDefinition(ClusterServiceDefinition),
  methods: {
    getStatus: unary('admin', async (api, _request: wire.GetStatusRequest, context): Promise<wire.GetStatusResponse> => statusMessage(await api.cluster.status(context))),
    backup: unary('admin', async (api, request: wire.BackupRequest, context): Promise<wire.BackupResponse> => {
      const { directory, sizeBytes, shardCount, pointCount } = await api.cluster.backup(context, request.directory);
      return { directory, sizeBytes: BigInt(sizeBytes), shardCount: BigInt(shardCount), pointCount: BigInt(pointCount) };
    }),
    verify: unary('admin', async (api, _request: wire.VerifyRequest, context): Promise<wire.VerifyResponse> => {
      const { ok, faults, checked } = await api.cluster.verify(context);
      return {
        ok,
        faults: [...faults],
        checked: {
          logRecords: BigInt(checked.logRecords),
          logBytes: BigInt(checked.logBytes),
          storeEntries: BigInt(checked.storeEntries),
          storeBytes: BigInt(checked.storeBytes),
        },
      };
    }),
  },
};

function statusMessage({ version, mode, startedAtMs, pods }: ClusterStatus): wire.GetStatusResponse {
  return { version, mode, startedAtMs: BigInt(startedAtMs), pods: pods.map(podMessage) };
}

function podMessage({ memoryBytes, logBytes, logSegmentCount, shardCount, pointCount, ...pod }: PodDescription): wire.Pod {
  const { name, ready, because, dataDirectory, diskUsedFraction, writable } = pod;
  const figure = (value: number | undefined): bigint | undefined => (value === undefined ? undefined : BigInt(value));
  return {
    name,
    ready,
    because,
    dataDirectory,
    diskUsedFraction,
    writable,
    memoryBytes: figure(memoryBytes),
    logBytes: figure(logBytes),
    logSegmentCount: figure(logSegmentCount),
    shardCount: BigInt(shardCount),
    pointCount: figure(pointCount),
  };
}

const podReply = named(
  'Pod',
  object({
    name: required(text),
    ready: required(flag),
    because: optional(text),
    dataDirectory: optional(text),
    diskUsedFraction: optional(number),
    writable: optional(flag),
    memoryBytes: optional(number),
    logBytes: optional(number),
    logSegmentCount: optional(number),
    shardCount: required(number),
    pointCount: optional(number),
  }),
);

export const clusterRoutes: readonly JsonRoute[] = [
  jsonRoute({
    method: 'GET',
    path: '/cluster',
    operationId: 'getStatus',
    summary: 'State of the cluster and of each pod',
    action: 'admin',
    reply: object({ version: required(text), mode: required(words('standalone', 'cluster')), startedAtMs: required(number), pods: required(list(podReply)) }),
    handle: (api, _request, context) => api.cluster.status(context),
  }),
  jsonRoute({
    method: 'POST',
    path: '/cluster/backup',
    operationId: 'backup',
    summary: 'Write a consistent copy of the data to a new directory on the server, while serving',
    action: 'admin',
    body: named('Backup', object({ directory: required(text) })),
    reply: object({ directory: required(text), sizeBytes: required(number), shardCount: required(number), pointCount: required(number) }),
    example: { body: { directory: '/var/backups/shoal-monday' } },
    handle: (api, { body: { directory } }, context) => api.cluster.backup(context, directory),
  }),
  jsonRoute({
    method: 'POST',
    path: '/cluster/verify',
    operationId: 'verify',
    summary: 'Read and check everything stored, while serving',
    action: 'admin',
    reply: object({
      ok: required(flag),
      faults: required(list(text)),
      checked: required(object({ logRecords: required(number), logBytes: required(number), storeEntries: required(number), storeBytes: required(number) })),
    }),
    handle: (api, _request, context) => api.cluster.verify(context),
  }),
];
