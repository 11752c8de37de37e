/** `ShardService` over one replica: decides writes (`write-resolver.ts`), forwards reads (`reader.ts`). */

import { ShoalError } from '../kernel/errors.ts';
import { withSignal } from '../kernel/deadline.ts';
import { limits } from '../kernel/limits.ts';
import type { ConsistencyToken } from '../domain/consistency.ts';
import type { Filter } from '../domain/filter.ts';
import type { PointView } from '../domain/point.ts';
import type { Idempotency } from '../domain/write.ts';
import { decodeKey, keySpace, keyWithBytes } from '../storage/keys.ts';
import { ShardReader } from './reader.ts';
import type { ShardReplica } from './replica.ts';
import type {
  ShardContext,
  ShardGet,
  ShardRecord,
  ShardReport,
  ShardScroll,
  ShardScrollAnswer,
  ShardSearch,
  ShardSearchAnswer,
  ShardService,
  ShardWrite,
  ShardWriteAnswer,
} from '../domain/shard-service.ts';
import type { Resolve, WriteOutcome } from './write-path.ts';
import { itemsOf, needsPayload, resolvePointWrite, resolveRecordWrite, type PointWrite, type PriorPoint } from './write-resolver.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class ReplicaService implements ShardService {
  readonly replica: ShardReplica;
  readonly #reader: ShardReader;

  readonly #checkWritable: (sizeBytes: number) => void;

  /** `checkWritable` throws STORAGE_READ_ONLY while writes that add data are refused. */
  constructor(replica: ShardReplica, checkWritable: (sizeBytes: number) => void) {
    this.replica = replica;
    this.#checkWritable = checkWritable;
    this.#reader = new ShardReader(replica);
  }

  async write(context: ShardContext, write: ShardWrite, idempotency?: Idempotency): Promise<ShardWriteAnswer> {
    if (write.kind !== 'delete' && write.kind !== 'delete-record') this.#checkWritable(sizeBytesOf(write));
    const writing = write.kind === 'put-record' || write.kind === 'delete-record' ? this.#writeRecord(context, write, idempotency) : this.#writePoints(context, write, idempotency);
    // Past its deadline the caller gets its answer; the write itself goes on with its latches held until it is applied.
    const { seq, results } = await withSignal(writing, context.signal);
    if (idempotency !== undefined && results.length !== itemCountOf(write)) throw numberUsedTwice(idempotency);
    return { results, token: this.#token(seq) };
  }

  async deleteMatching(context: ShardContext, filter: Filter): Promise<{ deletedCount: number; token: ConsistencyToken }> {
    await this.replica.readBarrier({ level: 'linearizable' }, context.signal);
    const ids = await this.#idsMatching(context, filter);
    let deletedCount = 0;
    let token = this.#token(this.replica.appliedSeq);
    for (let start = 0; start < ids.length; start += limits.deleteChunkCount) {
      const points = ids.slice(start, start + limits.deleteChunkCount).map((id) => ({ id, condition: { kind: 'matches', filter } as const }));
      try {
        const answer = await this.write(context, { kind: 'delete', points });
        deletedCount += answer.results.filter((result) => result.outcome === 'deleted').length;
        token = answer.token;
      } catch (error) {
        if (!(error instanceof ShoalError)) throw error;
        throw new ShoalError(error.code, error.message, { details: { ...error.details, deletedCount }, cause: error });
      }
    }
    return { deletedCount, token };
  }

  get(context: ShardContext, request: ShardGet): Promise<readonly (PointView | undefined)[]> {
    return withSignal(this.#reader.get(context, request), context.signal);
  }

  scroll(context: ShardContext, request: ShardScroll): Promise<ShardScrollAnswer> {
    return withSignal(this.#reader.scroll(context, request), context.signal);
  }

  count(context: ShardContext, request: Parameters<ShardService['count']>[1]): Promise<number> {
    return withSignal(this.#reader.count(context, request), context.signal);
  }

  search(context: ShardContext, request: ShardSearch): Promise<ShardSearchAnswer> {
    return withSignal(this.#reader.search(context, request), context.signal);
  }

  async getRecord(context: ShardContext, key: string): Promise<ShardRecord | undefined> {
    await this.replica.readBarrier({ level: 'linearizable' }, context.signal);
    const { store } = this.replica.state;
    const value = await withSignal(store.get(this.#recordKey(key)), context.signal);
    return value === undefined ? undefined : decodeRecord(key, value);
  }

  async scanRecords(context: ShardContext, request: Parameters<ShardService['scanRecords']>[1]): Promise<readonly ShardRecord[]> {
    await this.replica.readBarrier({ level: 'linearizable' }, context.signal);
    const { store, localReplica } = this.replica.state;
    const { end } = keySpace(localReplica, 'record').span;
    // The least key greater than `after` is that key with a zero byte behind it.
    const start = this.#recordKey(request.after === undefined ? request.prefix : `${request.after}\0`);
    const records: ShardRecord[] = [];
    for await (const slice of store.scan({ start, end, limit: request.limit }, context.signal)) {
      for (const { key, value } of slice) {
        const name = decoder.decode(decodeKey(key).suffix);
        if (!name.startsWith(request.prefix)) return records;
        records.push(decodeRecord(name, value));
      }
    }
    return records;
  }

  describe(): Promise<ShardReport> {
    const { pointCount, term, notServing } = this.replica;
    return Promise.resolve({ pointCount, term, notServing, statistics: this.replica.statistics() });
  }

  #writePoints(context: ShardContext, write: PointWrite, idempotency: Idempotency | undefined): Promise<WriteOutcome> {
    const items = itemsOf(write);
    const ids = items.map((item) => item.id);
    const pointCount = write.kind === 'upsert' ? items.length : 0;
    const prepare = async (): Promise<Resolve> => {
      const priors = await this.#priors(write, ids);
      return (seq) => resolvePointWrite(write, priors, seq);
    };
    return this.replica.write({ idempotency, signal: context.signal, keys: ids, pointCount, sizeBytes: sizeBytesOf(write), prepare });
  }

  async #priors(write: PointWrite, ids: readonly string[]): Promise<(PriorPoint | undefined)[]> {
    const { points } = this.replica.state;
    const states = await points.states(ids);
    const items = itemsOf(write);
    const withPayload = items.flatMap((item, i) => (states[i] !== undefined && needsPayload(write, item) ? [{ i, label: states[i].label }] : []));
    const payloads = withPayload.length === 0 ? [] : await points.payloads(withPayload.map(({ label }) => label));
    const missing = payloads.indexOf(undefined);
    // The latches are held, so nothing can have taken it away meanwhile.
    if (missing >= 0) throw new ShoalError('CORRUPTION', `point "${ids[withPayload[missing]!.i]}" lacks its payload`);
    const payloadAt = new Map(withPayload.map(({ i }, position) => [i, payloads[position]]));
    return states.map((state, i) => (state === undefined ? undefined : { state, payload: payloadAt.get(i) }));
  }

  #writeRecord(
    context: ShardContext,
    write: Extract<ShardWrite, { kind: 'put-record' | 'delete-record' }>,
    idempotency: Idempotency | undefined,
  ): Promise<WriteOutcome> {
    const prepare = async (): Promise<Resolve> => {
      const value = await this.replica.state.store.get(this.#recordKey(write.key));
      const presentVersion = value === undefined ? 0 : decodeRecord(write.key, value).version;
      return (seq) => resolveRecordWrite(write, presentVersion, seq);
    };
    return this.replica.write({ idempotency, signal: context.signal, keys: [write.key], pointCount: 0, sizeBytes: sizeBytesOf(write), prepare });
  }

  async #idsMatching(context: ShardContext, filter: Filter): Promise<string[]> {
    const { payloads, labels } = this.replica.state;
    const epoch = this.replica.epochs.begin();
    try {
      const matching = await payloads.matching(filter, context.signal);
      return Array.from(matching.and(labels.live).toArray(), (label) => labels.id(label));
    } finally {
      this.replica.epochs.end(epoch);
    }
  }

  #recordKey(key: string): Uint8Array {
    return keyWithBytes(this.replica.state.localReplica, 'record', encoder.encode(key));
  }

  #token(seq: number): ConsistencyToken {
    return { shardUID: this.replica.shardUID, seq };
  }
}

/** About what the write adds. */
function sizeBytesOf(write: ShardWrite): number {
  switch (write.kind) {
    case 'upsert':
      return write.points.reduce((size, { id, vector, payload, text }) => size + id.length + vector.length + payload.length + (text?.length ?? 0), 0);
    case 'change-payload':
      return write.changes.reduce((size, { id, set }) => size + id.length + (set === undefined ? 0 : JSON.stringify(set).length), 0);
    case 'put-record':
      return write.value.length;
    case 'delete':
    case 'delete-record':
      return 0;
  }
}

function itemCountOf(write: ShardWrite): number {
  return write.kind === 'put-record' || write.kind === 'delete-record' ? 1 : itemsOf(write).length;
}

/** The remembered answer belongs to a request with another number of items: this one is not its repeat. */
function numberUsedTwice({ clientId, requestNumber }: Idempotency): ShoalError {
  return new ShoalError('INVALID_ARGUMENT', `request number ${requestNumber} of client "${clientId}" was used by another request; this one was not applied`, {
    details: { field: 'requestNumber', found: requestNumber },
  });
}

function decodeRecord(key: string, value: Uint8Array): ShardRecord {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  return { key, version: view.getFloat64(0, true), value: value.subarray(8) };
}
