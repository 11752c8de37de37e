/**
 * The k nearest of a stream of candidates: a binary heap with the worst one on top, in typed arrays. Equal distances are
 * ordered by label, so that the same points give the same answer in whatever order they were seen.
 */

import assert from 'node:assert/strict';
import type { IndexHits } from './vector-index.ts';

export class TopK {
  readonly k: number;
  #distances: Float64Array;
  #labels: Uint32Array;
  #size = 0;

  constructor(k: number) {
    assert(Number.isInteger(k) && k > 0, 'k is a positive integer');
    this.k = k;
    const capacity = Math.min(k, 64);
    this.#distances = new Float64Array(capacity);
    this.#labels = new Uint32Array(capacity);
  }

  get size(): number {
    return this.#size;
  }

  /** A candidate further away than this cannot get in. */
  get bound(): number {
    return this.#size < this.k ? Infinity : (this.#distances[0] as number);
  }

  push(distance: number, label: number): void {
    if (this.#size < this.k) {
      if (this.#size === this.#labels.length) this.#grow();
      this.#siftUp(this.#size++, distance, label);
    } else if (this.#isBefore(distance, label, 0)) {
      this.#siftDown(distance, label);
    }
  }

  clear(): void {
    this.#size = 0;
  }

  /** Nearest first. The heap keeps its content. */
  hits(): IndexHits {
    const size = this.#size;
    const heapLabels = this.#labels.slice(0, size);
    const heapDistances = this.#distances.slice(0, size);
    const labels = new Uint32Array(size);
    const distances = new Float32Array(size);
    // The worst one leaves the heap first.
    while (this.#size > 0) {
      const place = --this.#size;
      labels[place] = this.#labels[0] as number;
      distances[place] = this.#distances[0] as number;
      if (place > 0) this.#siftDown(this.#distances[place] as number, this.#labels[place] as number);
    }
    this.#labels.set(heapLabels);
    this.#distances.set(heapDistances);
    this.#size = size;
    return { labels, distances };
  }

  #isBefore(distance: number, label: number, place: number): boolean {
    const other = this.#distances[place] as number;
    return distance < other || (distance === other && label < (this.#labels[place] as number));
  }

  #grow(): void {
    const capacity = Math.min(this.k, this.#labels.length * 2);
    const distances = new Float64Array(capacity);
    distances.set(this.#distances);
    const labels = new Uint32Array(capacity);
    labels.set(this.#labels);
    this.#distances = distances;
    this.#labels = labels;
  }

  #move(from: number, to: number): void {
    this.#distances[to] = this.#distances[from] as number;
    this.#labels[to] = this.#labels[from] as number;
  }

  #siftUp(start: number, distance: number, label: number): void {
    let place = start;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (this.#isBefore(distance, label, parent)) break;
      this.#move(parent, place);
      place = parent;
    }
    this.#distances[place] = distance;
    this.#labels[place] = label;
  }

  /** Puts the candidate in the place of the worst one. */
  #siftDown(distance: number, label: number): void {
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= this.#size) break;
      const right = child + 1;
      if (
        right < this.#size &&
        this.#isBefore(this.#distances[child] as number, this.#labels[child] as number, right)
      ) {
        child = right;
      }
      if (!this.#isBefore(distance, label, child)) break;
      this.#move(child, place);
      place = child;
    }
    this.#distances[place] = distance;
    this.#labels[place] = label;
  }
}
