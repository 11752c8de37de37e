/** The operations of `PodService` on the wire, beside those of its shards. */

import type * as Wire from '../../proto/gen/shoal/shard/v1/pod.ts';
import type { PodService, ReplicaReport, SnapshotAnswer, SnapshotPart, SnapshotRequest } from '../domain/pod-service.ts';
import { malformed, required } from './malformed.ts';
import { operation } from './operation.ts';
import { ReportHistory, type ReportChanges, type ReportPosition } from './report-changes.ts';

/** One of each service that is asked for reports, for as long as it is there. */
const histories = new WeakMap<PodService, ReportHistory>();

export const reportOperation = operation<'report', ReportPosition, ReportChanges>({
  name: 'report',
  mutates: false,
  request: { encode: ({ session, version }) => ({ session, version }), decode: ({ session, version }) => ({ session, version }) },
  answer: {
    encode: ({ podUID, replicas, ...rest }) => ({ ...rest, podUid: podUID, replicas: replicas.map(replicaMessage) }),
    decode: ({ podUid, replicas, ...rest }) => ({ ...rest, podUID: podUid, replicas: replicas.map(replicaOf) }),
  },
  run: async (service, _target, known, { signal }) => {
    const report = await service.report(signal);
    const history = histories.get(service) ?? new ReportHistory();
    histories.set(service, history);
    return history.changesSince(known, report);
  },
});

function replicaMessage({ collectionUID, shardUID, ...rest }: ReplicaReport): Wire.ReplicaReport {
  return { collectionUid: collectionUID, shardUid: shardUID, ...rest };
}

function replicaOf({ collectionUid, shardUid, role, ...rest }: Wire.ReplicaReport): ReplicaReport {
  if (role !== 'waiting' && role !== 'backup' && role !== 'primary') throw malformed('a role is not known');
  return { collectionUID: collectionUid, shardUID: shardUid, role, ...rest };
}

export const nudgeOperation = operation<'nudge', string, void>({
  name: 'nudge',
  mutates: false,
  request: { encode: (shardUID) => ({ shardUid: shardUID }), decode: ({ shardUid }) => shardUid },
  answer: { encode: () => ({}), decode: () => undefined },
  run: (service, _target, shardUID, { signal }) => service.nudge(shardUID, signal),
});

export const stopWritesOperation = operation<'stopWrites', string, { readonly term: number; readonly lastSeq: number }>({
  name: 'stopWrites',
  mutates: true,
  request: { encode: (shardUID) => ({ shardUid: shardUID }), decode: ({ shardUid }) => shardUid },
  answer: { encode: ({ term, lastSeq }) => ({ term, lastSeq }), decode: ({ term, lastSeq }) => ({ term, lastSeq }) },
  run: (service, _target, shardUID, { signal }) => service.stopWrites(shardUID, signal),
});

export const snapshotOperation = operation<'snapshot', SnapshotRequest, SnapshotAnswer>({
  name: 'snapshot',
  mutates: false,
  request: {
    encode: ({ shardUID, incarnation, transfer, offset }) => ({ shardUid: shardUID, incarnation, transfer, offset }),
    decode: ({ shardUid, incarnation, transfer, offset }) => ({ shardUID: shardUid, incarnation, transfer, offset }),
  },
  answer: {
    encode: ({ transfer, parts, progress }) => ({ transfer, parts: parts.map(({ offset, content }) => ({ offset, content: contentMessage(content) })), progress }),
    decode: ({ transfer, parts, progress }) => ({ transfer, parts: parts.map(({ offset, content }) => ({ offset, content: contentOf(content) })), progress }),
  },
  run: (service, _target, request, { signal }) => service.snapshot(request, signal),
});

function contentMessage(content: SnapshotPart['content']): NonNullable<Wire.SnapshotPart['content']> {
  switch (content.kind) {
    case 'begin':
      return { $case: 'begin', begin: { appliedSeq: content.appliedSeq, appliedTerm: content.appliedTerm } };
    case 'entries':
      return { $case: 'entries', entries: { entries: [...content.entries] } };
    case 'file':
      return { $case: 'file', file: { name: content.name, position: content.position, bytes: content.bytes } };
    case 'end':
      return { $case: 'end', end: {} };
  }
}

function contentOf(message: Wire.SnapshotPart['content']): SnapshotPart['content'] {
  const content = required(message, 'content of a part of a snapshot');
  switch (content.$case) {
    case 'begin':
      return { kind: 'begin', ...content.begin };
    case 'entries':
      return { kind: 'entries', entries: content.entries.entries };
    case 'file':
      return { kind: 'file', ...content.file };
    case 'end':
      return { kind: 'end' };
  }
}
