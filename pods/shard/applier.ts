/**
 * Applies committed entries: one atomic batch of the store for a run of entries together with the applied seq, then the
 * same changes in memory. Used alike for new entries, for replay after a crash, and on backups.
 */

import { ShoalError } from '../kernel/errors.ts';
import type { VectorBytes } from '../domain/vector-bytes.ts';
import type { KeyValueStore, WriteOperation } from '../storage/key-value-store.ts';
import { keyWithBytes } from '../storage/keys.ts';
import type { IdempotencyTable, RequestHistory } from './idempotency.ts';
import type { LabelTable } from './label-table.ts';
import type { Entry, Operation } from './operation.ts';
import type { PayloadIndexing } from './payload-indexing.ts';
import type { PointIndex } from './point-index.ts';
import { encodeReplicaState } from './replica-state.ts';
import { parsePayload, type PointState, type StoredPayload, type StoredPoints } from './stored-points.ts';

export interface CommittedEntry {
  readonly term: number;
  readonly seq: number;
  readonly entry: Entry;
}

export interface AppliedState {
  readonly store: KeyValueStore;
  readonly localReplica: number;
  readonly points: StoredPoints;
  readonly labels: LabelTable;
  readonly index: PointIndex;
  readonly payloads: PayloadIndexing;
  readonly idempotency: IdempotencyTable;
}

/** A change of the memory that follows the batch. */
type MemoryChange =
  | { readonly kind: 'insert'; readonly id: string; readonly state: PointState; readonly vector: VectorBytes }
  | { readonly kind: 'version'; readonly label: number; readonly version: number }
  | { readonly kind: 'remove'; readonly label: number }
  | { readonly kind: 'payload'; readonly label: number; readonly payload: StoredPayload | undefined };

const encoder = new TextEncoder();
/** Operations planned between two turns of the event loop. */
const sliceOperationCount = 128;

/** Why an entry had no effect: the same request had been applied, or it was too old to tell (rule D1). */
export type Repeat = Exclude<RequestHistory, { kind: 'new' }>;

/** Entries are contiguous and follow what is applied. Resolves, when store and memory have them, with those without effect by seq. */
export async function applyEntries(state: AppliedState, entries: readonly CommittedEntry[], commitSeq: number): Promise<ReadonlyMap<number, Repeat>> {
  const planned = new Plan(state, await readPriors(state, entries));
  const repeats = new Map<number, Repeat>();
  for (const { seq, entry } of entries) {
    if (entry.idempotency !== undefined) {
      const history = state.idempotency.lookUp(entry.idempotency);
      if (history.kind !== 'new') {
        repeats.set(seq, history);
        continue;
      }
      for (const { suffix, value } of state.idempotency.remember(entry.idempotency, seq, entry.results)) {
        const key = keyWithBytes(state.localReplica, 'session', suffix);
        planned.writes.push(value === undefined ? { kind: 'delete', key } : { kind: 'put', key, value });
      }
    }
    for (const operation of entry.operations) {
      planned.operation(operation);
      if (planned.sliceIsFull()) await new Promise((resolve) => setImmediate(resolve));
    }
  }
  const last = entries.at(-1)!;
  const replicaState = { appliedSeq: last.seq, commitSeq: Math.max(commitSeq, last.seq), term: last.term };
  planned.writes.push({ kind: 'put', key: keyWithBytes(state.localReplica, 'meta', encoder.encode('state')), value: encodeReplicaState(replicaState) });
  await state.points.change(planned.writes, () => state.store.write(planned.writes));
  changeMemory(state, planned.changes);
  return repeats;
}

interface Prior {
  readonly state: PointState;
  readonly payload: StoredPayload | undefined;
}

async function readPriors(state: AppliedState, entries: readonly CommittedEntry[]): Promise<Map<string, Prior>> {
  const ids = new Set<string>();
  const idsWithPayload = new Set<string>();
  for (const { entry } of entries) {
    for (const operation of entry.operations) {
      if (operation.kind === 'put-record' || operation.kind === 'delete-record') continue;
      ids.add(operation.id);
      if (operation.kind === 'set-payload') idsWithPayload.add(operation.id);
    }
  }
  const priors = new Map<string, Prior>();
  if (ids.size === 0) return priors;
  const list = [...ids];
  const states = await state.points.states(list);
  const withPayload = list.flatMap((id, i) => (states[i] !== undefined && idsWithPayload.has(id) ? [{ id, label: states[i].label }] : []));
  const payloads = withPayload.length === 0 ? [] : await state.points.payloads(withPayload.map(({ label }) => label));
  const missing = payloads.indexOf(undefined);
  if (missing >= 0) throw new ShoalError('CORRUPTION', `point "${withPayload[missing]!.id}" lacks its payload`);
  const payloadOf = new Map(withPayload.map(({ id }, i) => [id, payloads[i]]));
  list.forEach((id, i) => {
    const known = states[i];
    if (known !== undefined) priors.set(id, { state: known, payload: payloadOf.get(id) });
  });
  return priors;
}

/** Collects the batch and the memory changes, keeping track of what earlier operations of the run did to an id. */
class Plan {
  readonly writes: WriteOperation[] = [];
  readonly changes: MemoryChange[] = [];
  readonly #state: AppliedState;
  readonly #priors: Map<string, Prior>;
  #sliceCount = 0;

  constructor(state: AppliedState, priors: Map<string, Prior>) {
    this.#state = state;
    this.#priors = priors;
  }

  sliceIsFull(): boolean {
    return ++this.#sliceCount % sliceOperationCount === 0;
  }

  operation(operation: Operation): void {
    switch (operation.kind) {
      case 'upsert':
        return this.#upsert(operation);
      case 'set-payload':
        return this.#setPayload(operation);
      case 'delete':
        return this.#delete(operation.id);
      case 'put-record': {
        const value = new Uint8Array(8 + operation.value.length);
        new DataView(value.buffer).setFloat64(0, operation.version, true);
        value.set(operation.value, 8);
        this.writes.push({ kind: 'put', key: this.#recordKey(operation.key), value });
        return;
      }
      case 'delete-record':
        this.writes.push({ kind: 'delete', key: this.#recordKey(operation.key) });
        return;
    }
  }

  /** A new vector gets a new label, so that a label names one vector for as long as anybody may look at it. */
  #upsert(operation: Extract<Operation, { kind: 'upsert' }>): void {
    const { id, version } = operation;
    const prior = this.#priors.get(id);
    if (prior !== undefined) this.#dropLabel(prior);
    const state: PointState = { label: this.#state.labels.allocate(), version, vectorVersion: version };
    const payload: StoredPayload = { id, version, payload: operation.payload, text: operation.text };
    this.#state.points.put(this.writes, id, state, payload, operation.vector);
    this.changes.push({ kind: 'insert', id, state, vector: operation.vector });
    this.#indexPayload(state.label, payload);
    this.#priors.set(id, { state, payload });
  }

  #setPayload(operation: Extract<Operation, { kind: 'set-payload' }>): void {
    const prior = this.#priors.get(operation.id);
    if (prior === undefined) return;
    const state = { ...prior.state, version: operation.version };
    const payload = { id: operation.id, version: operation.version, payload: operation.payload, text: prior.payload?.text };
    this.#state.points.put(this.writes, operation.id, state, payload);
    this.changes.push({ kind: 'version', label: state.label, version: state.version });
    this.#indexPayload(state.label, payload);
    this.#priors.set(operation.id, { state, payload });
  }

  #delete(id: string): void {
    const prior = this.#priors.get(id);
    if (prior === undefined) return;
    this.#dropLabel(prior);
    this.writes.push(this.#state.points.deleteId(id));
    this.#priors.delete(id);
  }

  #dropLabel(prior: Prior): void {
    this.#state.points.deleteLabel(this.writes, prior.state.label);
    this.#indexPayload(prior.state.label, undefined);
    this.changes.push({ kind: 'remove', label: prior.state.label });
  }

  /** Whether a field is indexed is asked when the batch is written: an index may have been begun meanwhile. */
  #indexPayload(label: number, payload: StoredPayload | undefined): void {
    // Here, in a slice: at the instant of the change the loop stands still for all of the batch.
    if (payload !== undefined && this.#state.payloads.active) parsePayload(payload);
    this.changes.push({ kind: 'payload', label, payload });
  }

  #recordKey(key: string): Uint8Array {
    return keyWithBytes(this.#state.localReplica, 'record', encoder.encode(key));
  }
}

/** At one instant, so that a search sees all of the run or nothing of it. */
function changeMemory(state: AppliedState, changes: readonly MemoryChange[]): void {
  const labels: number[] = [];
  const vectors: VectorBytes[] = [];
  const removed: number[] = [];
  for (const change of changes) {
    switch (change.kind) {
      case 'insert':
        state.labels.set(change.state.label, change.id, change.state.version, change.state.vectorVersion);
        labels.push(change.state.label);
        vectors.push(change.vector);
        break;
      case 'version':
        state.labels.setVersion(change.label, change.version);
        break;
      case 'remove':
        state.labels.remove(change.label);
        removed.push(change.label);
        break;
      case 'payload':
        if (state.payloads.active) state.payloads.update(change.label, change.payload);
        break;
    }
  }
  if (labels.length > 0) state.index.add(labels, vectors);
  state.index.remove(removed);
}
