/**
 * Payloads of one replica as its store has them, those that were read lately from memory. A number for each label says
 * what is known of its payload:
 *
 *     0                nothing
 *     below 2^31       its place in the pod's ring
 *     2^31 + n         read n is reading it from the store, and may put it into the ring
 *     2^32 - 1         a write that changes or deletes it is under way
 *
 * A write marks its labels before the store gets it and forgets them after the store has it, so in between they are read
 * from the store, which shows either state. A read puts a value into the ring only if the label still carries its own
 * number: no write was under way when it began, and none has begun since. So memory never shows less than the store does.
 *
 * A write is seen whole or not at all, as by a read of the store alone: when values from memory and from the store are
 * to be joined, and one from memory was changed before the store was read, the store is asked for all of them.
 */

import assert from 'node:assert/strict';
import { LabelColumn } from './label-column.ts';
import type { PayloadRing, RingOwner } from './payload-ring.ts';

type Value = Uint8Array | undefined;

const nothing = 0;
const firstRead = 2 ** 31;
const beingChanged = 2 ** 32 - 1;

export class CachedPayloads implements RingOwner {
  readonly #ring: PayloadRing;
  readonly #readStore: (labels: readonly number[]) => Promise<Value[]>;
  readonly #states = new LabelColumn((length) => new Uint32Array(length));
  /** Labels below this have a state. Only reads raise it: nothing is kept of a replica whose payloads nobody reads. */
  #labelCount = 0;
  #owner: number | undefined;
  #lastRead = firstRead;
  /** Of the write that is under way. */
  #changing: readonly number[] = [];
  #changeCount = 0;
  #closed = false;

  /** `readStore` shows all labels at one moment. */
  constructor(ring: PayloadRing, readStore: (labels: readonly number[]) => Promise<Value[]>) {
    this.#ring = ring;
    this.#readStore = readStore;
  }

  async read(labels: readonly number[]): Promise<Value[]> {
    if (this.#closed) return this.#readStore(labels);
    const values: Value[] = [];
    const places: number[] = [];
    const missing: number[] = [];
    for (const label of labels) {
      this.#grow(label + 1);
      const state = this.#states.get(label);
      places.push(state);
      values.push(isPlace(state) ? this.#ring.copy(state) : undefined);
      if (!isPlace(state)) missing.push(label);
    }
    if (missing.length === 0) return values;

    const { evictionCount } = this.#ring;
    const changeCount = this.#changeCount;
    const found = await this.#readAndKeep(missing);
    if (missing.length === labels.length) return found;
    const changed = this.#changeCount !== changeCount && (this.#ring.evictionCount !== evictionCount || places.some((state, i) => isPlace(state) && this.#states.get(labels[i]!) !== state));
    if (changed) return this.#readStore(labels);
    let next = 0;
    return values.map((value) => value ?? found[next++]);
  }

  /** Runs a write that changes the payloads of these labels, or deletes them. One at a time. */
  async change(labels: readonly number[], write: () => Promise<void>): Promise<void> {
    assert(this.#changing.length === 0, 'writes of a replica follow one another');
    this.#changing = labels;
    this.#changeCount += 1;
    this.#setAll(labels, beingChanged);
    try {
      await write();
    } finally {
      this.#changing = [];
      this.#setAll(labels, nothing);
    }
  }

  evicted(label: number, place: number): void {
    if (this.#states.get(label) === place) this.#states.set(label, nothing);
  }

  /** What the ring has of it is forgotten, and nothing more is kept. */
  close(): void {
    this.#closed = true;
    if (this.#owner !== undefined) this.#ring.leave(this.#owner);
  }

  async #readAndKeep(labels: readonly number[]): Promise<Value[]> {
    const read = this.#nextRead();
    for (const label of labels) if (this.#states.get(label) === nothing) this.#states.set(label, read);
    let found: readonly Value[] = [];
    try {
      return (found = await this.#readStore(labels)) as Value[];
    } finally {
      labels.forEach((label, i) => {
        if (this.#states.get(label) === read) this.#states.set(label, this.#keep(label, found[i]));
      });
    }
  }

  #keep(label: number, value: Value): number {
    if (value === undefined || this.#closed) return nothing;
    this.#owner ??= this.#ring.join(this);
    return this.#ring.add(this.#owner, label, value);
  }

  #nextRead(): number {
    this.#lastRead = this.#lastRead + 1 === beingChanged ? firstRead : this.#lastRead + 1;
    return this.#lastRead;
  }

  #grow(labelCount: number): void {
    const before = this.#labelCount;
    if (labelCount <= before) return;
    this.#states.grow(labelCount);
    this.#labelCount = labelCount;
    for (const label of this.#changing) if (label >= before && label < labelCount) this.#states.set(label, beingChanged);
  }

  #setAll(labels: readonly number[], state: number): void {
    for (const label of labels) if (label < this.#labelCount) this.#states.set(label, state);
  }
}

function isPlace(state: number): boolean {
  return state !== nothing && state < firstRead;
}
