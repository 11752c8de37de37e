/**
 * Which keys each label has in one field's index: what has to be taken out when the label's payload changes. Knowing
 * this here, rather than from the old payload, makes every update repeatable: after a restart the shard may hand over the
 * present payload of a label again, whatever the index held of it.
 *
 * One number for each label, in pages; a label with several keys has `several` there and its keys in a list beside.
 */

const pageLabels = 8_192;
/** Keys are finite, so these two are free. */
const none = Infinity;
const several = -Infinity;

const noKeys: readonly number[] = [];

export class KeyColumn {
  readonly #pages: (Float64Array | undefined)[] = [];
  readonly #lists: ((readonly number[] | undefined)[] | undefined)[] = [];

  /** Ascending, without repetition. */
  get(label: number): readonly number[] {
    const key = this.#pages[pageOf(label)]?.[label % pageLabels] ?? none;
    if (key === none) return noKeys;
    return key === several ? (this.#lists[pageOf(label)]?.[label % pageLabels] as readonly number[]) : [key];
  }

  /** True when the label has exactly this one key. */
  isOnly(label: number, key: number): boolean {
    return this.#pages[pageOf(label)]?.[label % pageLabels] === key;
  }

  isEmpty(label: number): boolean {
    return (this.#pages[pageOf(label)]?.[label % pageLabels] ?? none) === none;
  }

  /** `keys` are ascending, without repetition, and not changed by anybody from now on. */
  set(label: number, keys: readonly number[]): void {
    const number = pageOf(label);
    let page = this.#pages[number];
    if (page === undefined) {
      if (keys.length === 0) return;
      while (this.#pages.length < number) this.#pages.push(undefined);
      page = this.#pages[number] = new Float64Array(pageLabels).fill(none);
    }
    const position = label % pageLabels;
    if (page[position] === several) (this.#lists[number] as (readonly number[] | undefined)[])[position] = undefined;
    page[position] = keys.length === 0 ? none : keys.length === 1 ? (keys[0] as number) : several;
    if (keys.length > 1) {
      while (this.#lists.length <= number) this.#lists.push(undefined);
      const list = (this.#lists[number] ??= new Array<readonly number[] | undefined>(pageLabels).fill(undefined));
      list[position] = keys;
    }
  }

  /** Adds one key above all that the label has. */
  append(label: number, key: number): void {
    const page = this.#pages[pageOf(label)];
    if (page?.[label % pageLabels] === none) page[label % pageLabels] = key;
    else this.set(label, [...this.get(label), key]);
  }

  /** Approximate: lists are counted by the page. */
  memoryBytes(): number {
    const pages = this.#pages.filter((page) => page !== undefined).length;
    const lists = this.#lists.filter((list) => list !== undefined).length;
    return pages * pageLabels * 8 + lists * pageLabels * 8;
  }
}

function pageOf(label: number): number {
  return Math.floor(label / pageLabels);
}
