import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { OperationResult } from '../domain/write.ts';
import { IdempotencyTable, type SessionChange } from './idempotency.ts';

const created = (version: number): OperationResult[] => [{ outcome: 'created', version }];
const request = (clientId: string, requestNumber: number): { clientId: string; requestNumber: number } => ({ clientId, requestNumber });

/** A table with the store behind it. */
class Stored {
  readonly table = new IdempotencyTable();
  readonly entries = new Map<string, SessionChange>();

  remember(clientId: string, requestNumber: number, seq: number, results: readonly OperationResult[] = created(seq)): void {
    for (const change of this.table.remember(request(clientId, requestNumber), seq, results)) {
      const key = Buffer.from(change.suffix).toString('hex');
      if (change.value === undefined) this.entries.delete(key);
      else this.entries.set(key, change);
    }
  }

  /** The table as a restart finds it; the order of what is read must not matter. */
  reloaded(): IdempotencyTable {
    const table = new IdempotencyTable();
    table.load([...this.entries.values()].reverse().map(({ suffix, value }) => ({ suffix, value: value! })));
    return table;
  }
}

const isTooOld = (error: unknown): boolean => hasCode(error, 'REQUEST_TOO_OLD');

test('D1: a request is answered as it was, before and after a restart; another client or number is new', () => {
  const stored = new Stored();
  stored.remember('a', 7, 12, [{ outcome: 'created', version: 12 }, { outcome: 'condition-failed', version: 3 }]);
  for (const table of [stored.table, stored.reloaded()]) {
    assert.deepEqual(table.find(request('a', 7)), { seq: 12, results: [{ outcome: 'created', version: 12 }, { outcome: 'condition-failed', version: 3 }] });
    assert.equal(table.find(request('a', 8)), undefined);
    assert.equal(table.find(request('a', 6)), undefined);
    assert.equal(table.find(request('b', 7)), undefined);
  }
});

test('D1: the lowest numbers are forgotten first, and refused from then on', () => {
  const stored = new Stored();
  const bound = limits.rememberedRequestsPerClientMax;
  // Out of order: what counts is the number.
  stored.remember('a', 1_000, 1);
  for (let number = 1; number <= bound + 4; number++) stored.remember('a', number, number + 1);
  for (const table of [stored.table, stored.reloaded()]) {
    assert.throws(() => table.find(request('a', 5)), isTooOld);
    assert.throws(() => table.find(request('a', 1)), isTooOld);
    assert.equal(table.find(request('a', 6))!.seq, 7);
    assert.equal(table.find(request('a', 1_000))!.seq, 1);
    assert.equal(table.lookUp(request('a', 5)).kind, 'too-old');
  }
  assert.equal(stored.entries.size, bound + 1, 'the store forgets as well');
});

test('D1: bounded in bytes of results', () => {
  const stored = new Stored();
  const results = Array.from({ length: limits.batchPointCountMax }, (): OperationResult => ({ outcome: 'updated', version: 1 }));
  for (let number = 1; number <= 60; number++) stored.remember('a', number, number, results);
  for (const table of [stored.table, stored.reloaded()]) {
    assert.throws(() => table.find(request('a', 1)), isTooOld);
    assert.equal(table.find(request('a', 60))!.results.length, results.length);
  }
});

test('D1: the quietest client is forgotten, with its floor', () => {
  const stored = new Stored();
  for (let client = 0; client < limits.rememberedClientsMax; client++) stored.remember(`client-${client}`, 1, client + 1);
  stored.remember('client-0', 2, 50_000);
  stored.remember('one more', 1, 50_001);
  const reloaded = stored.reloaded();
  for (const table of [stored.table, reloaded]) {
    assert.equal(table.clientCount, limits.rememberedClientsMax);
    assert.equal(table.find(request('client-1', 1)), undefined, 'forgotten');
    assert.equal(table.find(request('client-0', 1))!.seq, 1, 'it wrote again');
  }
  // The order of quietness survives the restart.
  reloaded.remember(request('yet another', 1), 50_002, []);
  assert.equal(reloaded.find(request('client-2', 1)), undefined);
  assert.equal(reloaded.find(request('client-3', 1))!.seq, 4);
});

test('ids of any bytes are told apart', () => {
  const stored = new Stored();
  const names = ['a', 'a\u0001', 'ä', 'x'.repeat(limits.clientIdBytesMax)];
  names.forEach((name, i) => stored.remember(name, i + 1, i + 1));
  names.forEach((name, i) => assert.equal(stored.reloaded().find(request(name, i + 1))!.seq, i + 1));
});

test('damage is CORRUPTION', () => {
  const broken: [Uint8Array, Uint8Array][] = [
    [Uint8Array.of(3, 65), new Uint8Array(16)],
    [Uint8Array.of(1, 65), new Uint8Array(15)],
    [Uint8Array.of(1, 65, 0, 0, 0, 0, 0, 0, 0, 1), new Uint8Array(9)],
  ];
  for (const [suffix, value] of broken) assert.throws(() => new IdempotencyTable().load([{ suffix, value }]), (error) => hasCode(error, 'CORRUPTION'));
});
