/** Reads beside writes: whatever they show has to be possible. */

import assert from 'node:assert/strict';
import type { PointView } from '../../../pods/api/vector-api.ts';
import { ids, type CollectionModel } from './collection-model.ts';
import { newFilter, newVector } from './engine-choices.ts';
import { allParts, type EngineWorld } from './engine-world.ts';
import { show, type PointModel } from './point-model.ts';

export class EngineReads {
  readonly #world: EngineWorld;

  constructor(world: EngineWorld) {
    this.#world = world;
  }

  read(): void {
    const [name, collection] = this.#world.pickCollection() ?? [];
    if (name === undefined || collection === undefined || collection.inDoubt) return;
    this.#world.count('read beside writes');
    const { api } = this.#world.process;
    const context = this.#world.context();
    const before = new Map([...collection.points].map(([id, point]) => [id, point.known()]));
    const filter = this.#world.chance(0.3) ? { filter: newFilter(this.#world) } : {};
    const isWhole = this.#world.chance(0.6);
    const topK = isWhole ? ids.length : 1 + this.#world.below(10);
    const form = this.#world.pick(['search', 'search', 'scroll', 'get'] as const);
    const search = { vector: newVector(this.#world, collection.input.dimension), topK, exact: this.#world.chance(0.5), ...allParts, ...filter };
    const reading: Promise<readonly (PointView | undefined)[]> =
      form === 'search'
        ? api.search.search(context, name, search).then(({ hits }) => hits)
        : form === 'scroll'
          ? api.points.scroll(context, name, { limit: topK, ...allParts, ...filter }).then(({ points }) => points)
          : api.points.get(context, name, { ids, ...allParts });
    const process = this.#world.process;
    const checked = reading.then((points) => {
      if (process !== this.#world.process) return;
      this.#checkViews(points);
      if (form === 'get' || (isWhole && !('filter' in filter))) this.#checkSteady(collection, before, points, form);
    });
    void this.#world.guard('read', checked);
  }

  #checkViews(points: readonly (PointView | undefined)[]): void {
    const seen = new Set<string>();
    for (const point of points) {
      if (point === undefined) continue;
      assert(!seen.has(point.id), `"${point.id}" comes twice`);
      seen.add(point.id);
      assert.equal(point.payload!['owner'], point.id, `"${point.id}" has the payload of another point`);
    }
  }

  /** Points that nobody touched while they were read are there as they are, or not. */
  #checkSteady(collection: CollectionModel, before: ReadonlyMap<string, ReturnType<PointModel['known']>>, points: readonly (PointView | undefined)[], form: string): void {
    for (const [id, known] of before) {
      if (known === undefined || collection.points.get(id)!.known()?.changeCount !== known.changeCount) continue;
      const found = points.find((point) => point?.id === id);
      assert.equal(found?.version, known.state?.version, `${form} beside writes gives "${id}" with version ${found?.version}; it is ${show(known.state)}`);
      this.#world.count('steady point read');
    }
  }
}
