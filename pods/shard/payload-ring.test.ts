import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PayloadRing, type RingOwner } from './payload-ring.ts';

const segmentBytes = 256 * 1024;

/** Keeps the places that it has, and checks that only these are taken from it. */
class Owner implements RingOwner {
  readonly places = new Map<number, number>();
  readonly number: number;
  readonly #ring: PayloadRing;

  constructor(ring: PayloadRing) {
    this.#ring = ring;
    this.number = ring.join(this);
  }

  add(label: number, value: Uint8Array): void {
    const place = this.#ring.add(this.number, label, value);
    if (place !== 0) this.places.set(label, place);
  }

  evicted(label: number, place: number): void {
    assert.equal(this.places.get(label), place);
    this.places.delete(label);
  }

  /** What is still there, checked to be what was added. */
  labels(valueOf: (label: number) => Uint8Array): number[] {
    for (const [label, place] of this.places) assert.deepEqual(Uint8Array.from(this.#ring.copy(place)), valueOf(label));
    return [...this.places.keys()];
  }
}

/** Bytes that read as an entry of any owner and label would. */
const valueOf = (label: number): Uint8Array => Uint8Array.from({ length: 1_000 + (label % 7) }, (_, i) => (i % 4 === 0 ? 1 + (label % 2) : 0));

test('the newest stay, within the bound, and owners hear of what goes', () => {
  const ring = new PayloadRing(4 * segmentBytes + 1);
  const owners = [new Owner(ring), new Owner(ring)] as const;
  assert.equal(ring.memoryBytes(), 0, 'nothing is taken before there is anything to keep');
  const count = 5_000;
  for (let label = 0; label < count; label++) {
    owners[label % 2]!.add(label, valueOf(label));
    assert(ring.memoryBytes() <= 4 * segmentBytes);
  }
  assert.equal(ring.memoryBytes(), 4 * segmentBytes);
  const kept = owners.flatMap((owner) => owner.labels(valueOf)).sort((a, b) => a - b);
  assert(kept.length > 750, `${kept.length} fit into three segments and part of one`);
  assert.deepEqual(kept, Array.from({ length: kept.length }, (_, i) => count - kept.length + i), 'the newest, without a gap');
});

test('an owner that left hears nothing, and its number is not given out again', () => {
  const ring = new PayloadRing(segmentBytes);
  const first = new Owner(ring);
  first.add(1, valueOf(1));
  ring.leave(first.number);
  const second = new Owner(ring);
  assert.notEqual(second.number, first.number);
  for (let label = 0; label < 1_000; label++) second.add(label, valueOf(label));
  assert(ring.evictionCount > 0);
  assert.equal(first.places.size, 1);
});

test('a value that would leave much of a segment unused is not kept', () => {
  const ring = new PayloadRing(segmentBytes);
  const owner = new Owner(ring);
  owner.add(1, new Uint8Array(segmentBytes / 16 + 1));
  assert.equal(owner.places.size, 0);
  owner.add(2, new Uint8Array(segmentBytes / 16));
  owner.add(3, new Uint8Array(0));
  assert.deepEqual(owner.labels((label) => new Uint8Array(label === 2 ? segmentBytes / 16 : 0)), [2, 3]);
});
