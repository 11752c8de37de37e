/** A queue whose head goes in constant time. */

export class Fifo<Value> {
  #values: Value[] = [];
  #head = 0;

  get length(): number {
    return this.#values.length - this.#head;
  }

  push(value: Value): void {
    this.#values.push(value);
  }

  peek(): Value | undefined {
    return this.#values[this.#head];
  }

  shift(): void {
    this.#head++;
    if (this.#head * 2 > this.#values.length && this.#head >= 64) {
      this.#values = this.#values.slice(this.#head);
      this.#head = 0;
    } else if (this.#head === this.#values.length) {
      this.#values = [];
      this.#head = 0;
    }
  }

  retain(keep: (value: Value) => boolean): void {
    this.#values = this.#values.slice(this.#head).filter(keep);
    this.#head = 0;
  }
}
