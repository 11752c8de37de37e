/**
 * What a replica knows of itself in its store: how far it applied and what it knew to be committed, written in the same
 * atomic batch as the changes they speak of. f64 applied seq | f64 commit seq | f64 term.
 */

import { keyWithBytes } from '../storage/keys.ts';
import { ByteReader, ByteWriter } from './entry-codec.ts';

export interface ReplicaState {
  readonly appliedSeq: number;
  /** May lag behind what was really committed; never runs ahead. */
  readonly commitSeq: number;
  readonly term: number;
}

export const newReplicaState: ReplicaState = { appliedSeq: 0, commitSeq: 0, term: 0 };

const stateName = new TextEncoder().encode('state');

export function replicaStateKey(localReplica: number): Uint8Array {
  return keyWithBytes(localReplica, 'meta', stateName);
}

export function encodeReplicaState(state: ReplicaState): Uint8Array {
  const writer = new ByteWriter(24);
  writer.f64(state.appliedSeq);
  writer.f64(state.commitSeq);
  writer.f64(state.term);
  return writer.finish();
}

export function decodeReplicaState(value: Uint8Array): ReplicaState {
  const reader = new ByteReader(value);
  const state = { appliedSeq: reader.f64(), commitSeq: reader.f64(), term: reader.f64() };
  reader.expectEnd();
  return state;
}
