/** Replication messages, to and from `shoal.shard.v1.Message`. */

import assert from 'node:assert/strict';
import type * as Wire from '../../proto/gen/shoal/shard/v1/replication.ts';
import type { LogEntry } from '../log/log.ts';
import type { Message, MessageBody } from '../replication/messages.ts';
import { malformed, required } from './malformed.ts';
import { ownBytes } from './values.ts';

export function encodeMessage({ collectionUID, shardUID, term, from, to, body }: Message): Wire.Message {
  return { collectionUid: collectionUID, shardUid: shardUID, term, from, to, body: encodeBody(body) };
}

/** Undefined for a kind that this version does not know: such a message is dropped like one that was lost. */
export function decodeMessage(message: Wire.Message): Message | undefined {
  if (message.body === undefined) return undefined;
  return {
    collectionUID: message.collectionUid,
    shardUID: message.shardUid,
    term: message.term,
    from: required(message.from, 'sender'),
    to: required(message.to, 'receiver'),
    body: decodeBody(message.body),
  };
}

function encodeBody(body: MessageBody): NonNullable<Wire.Message['body']> {
  switch (body.kind) {
    case 'fence':
      return { $case: 'fence', fence: { number: body.number, configVersion: body.configVersion } };
    case 'report': {
      const { kind: _, runs, ...rest } = body;
      return { $case: 'report', report: { ...rest, runs: [...runs] } };
    }
    case 'hello':
      return { $case: 'hello', hello: {} };
    case 'append': {
      const { prevSeq, prevTerm, commitSeq, entries } = body;
      return { $case: 'append', append: { prevSeq, prevTerm, commitSeq, entries: entries.map((entry, index) => encodeEntry(entry, prevSeq + 1 + index)) } };
    }
    case 'stored':
      return { $case: 'stored', stored: { throughSeq: body.throughSeq, appliedSeq: body.appliedSeq } };
    case 'check':
      return { $case: 'check', check: { round: body.round } };
    case 'checked':
      return { $case: 'checked', checked: { round: body.round } };
    case 'take-snapshot':
      return { $case: 'takeSnapshot', takeSnapshot: {} };
    case 'goodbye':
      return { $case: 'goodbye', goodbye: {} };
    case 'outdated':
      return { $case: 'outdated', outdated: {} };
  }
}

/** The seqs follow from the first one, so they do not travel. */
function encodeEntry({ term, seq, payload }: LogEntry, expectedSeq: number): Wire.Entry {
  assert.equal(seq, expectedSeq, 'the entries of an append follow each other');
  return { term, payload };
}

function decodeBody(body: NonNullable<Wire.Message['body']>): MessageBody {
  switch (body.$case) {
    case 'fence':
      return { kind: 'fence', ...body.fence };
    case 'report':
      return { kind: 'report', ...body.report };
    case 'hello':
      return { kind: 'hello' };
    case 'append': {
      const { prevSeq, prevTerm, commitSeq, entries } = body.append;
      if (prevSeq + entries.length > Number.MAX_SAFE_INTEGER) throw malformed('a seq is too large');
      return { kind: 'append', prevSeq, prevTerm, commitSeq, entries: entries.map(({ term, payload }, index) => ({ term, seq: prevSeq + 1 + index, payload: ownBytes(payload) })) };
    }
    case 'stored':
      return { kind: 'stored', ...body.stored };
    case 'check':
      return { kind: 'check', ...body.check };
    case 'checked':
      return { kind: 'checked', ...body.checked };
    case 'takeSnapshot':
      return { kind: 'take-snapshot' };
    case 'goodbye':
      return { kind: 'goodbye' };
    case 'outdated':
      return { kind: 'outdated' };
  }
}
