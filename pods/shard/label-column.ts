/**
 * A number for each label, in chunks: neither growing nor taking a snapshot copies all of it in one turn of the event loop.
 * A snapshot shares the chunks; one that changes afterwards is copied first.
 */

const chunkShift = 11;
const chunkLabels = 1 << chunkShift;

export type ColumnArray = Float64Array | Uint32Array;

export interface ColumnSnapshot<T extends ColumnArray> {
  /** The numbers of the labels in order. Nobody writes to them. */
  chunks(): Iterable<T>;
}

export class LabelColumn<T extends ColumnArray> {
  readonly #make: (length: number) => T;
  readonly #chunks: T[] = [];
  /** Per chunk: whether a snapshot has it too. */
  readonly #shared: boolean[] = [];

  constructor(make: (length: number) => T) {
    this.#make = make;
  }

  /** Of a label for which there is room. */
  get(label: number): number {
    return this.#chunks[label >>> chunkShift]![label & (chunkLabels - 1)]!;
  }

  set(label: number, value: number): void {
    const index = label >>> chunkShift;
    if (this.#shared[index]!) {
      this.#chunks[index] = this.#chunks[index]!.slice() as T;
      this.#shared[index] = false;
    }
    this.#chunks[index]![label & (chunkLabels - 1)] = value;
  }

  /** Makes room for labels below `labelCount`; their numbers are 0. */
  grow(labelCount: number): void {
    while (this.#chunks.length * chunkLabels < labelCount) {
      this.#chunks.push(this.#make(chunkLabels));
      this.#shared.push(false);
    }
  }

  /** The numbers of the labels below `labelCount`, for which there is room, as they are now. */
  snapshot(labelCount: number): ColumnSnapshot<T> {
    const used = Math.ceil(labelCount / chunkLabels);
    const chunks = this.#chunks.slice(0, used);
    this.#shared.fill(true, 0, used);
    return {
      *chunks() {
        for (const [index, chunk] of chunks.entries()) yield chunk.subarray(0, labelCount - index * chunkLabels) as T;
      },
    };
  }

  memoryBytes(): number {
    return this.#chunks.reduce((bytes, chunk) => bytes + chunk.byteLength, 0);
  }
}
