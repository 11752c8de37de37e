/** What clients write and ask for, by chance. */

import type { Filter, PayloadIndexSpec } from '../../../pods/domain/filter.ts';
import type { CollectionModel } from './collection-model.ts';
import type { EngineWorld } from './engine-world.ts';
import type { Item, State } from './point-model.ts';

export function someIndexes(world: EngineWorld): PayloadIndexSpec[] {
  const all: PayloadIndexSpec[] = [
    { field: 'number', type: 'integer' },
    { field: 'word', type: 'keyword' },
  ];
  return all.filter(() => world.chance(0.5));
}

export function newItem(world: EngineWorld, kind: 'upsert' | 'delete' | 'change', id: string, number: number, collection: CollectionModel): Item {
  const condition = world.chance(0.3) ? { condition: newCondition(world, collection.points.get(id)!.state) } : {};
  if (kind === 'delete') return { kind, id, ...condition };
  const payload = { owner: id, by: number, number: world.below(6), word: world.pick(['red', 'green', 'blue']) };
  if (kind === 'change') {
    const remove = world.chance(0.3) ? { remove: [world.pick(['word', 'number', 'nothing'])] } : {};
    return { kind, id, set: payload, ...remove, ...(world.chance(0.3) ? { replace: true } : {}), ...condition };
  }
  return { kind, id, vector: newVector(world, collection.input.dimension), payload, ...(world.chance(0.2) ? { text: `text ${number}` } : {}), ...condition };
}

function newCondition(world: EngineWorld, state: State): NonNullable<Item['condition']> {
  const version = typeof state?.version === 'number' ? state.version : 0;
  return world.pick([{ kind: 'absent' }, { kind: 'present' }, { kind: 'version', version }, { kind: 'matches', filter: newFilter(world) }] as const);
}

export function newFilter(world: EngineWorld): Filter {
  return world.pick<Filter>([
    { kind: 'range', field: 'number', gte: world.below(6) },
    { kind: 'equals', field: 'word', value: world.pick(['red', 'green', 'blue']) },
    { kind: 'and', filters: [{ kind: 'range', field: 'number', lt: 4 }, { kind: 'not', filter: { kind: 'equals', field: 'word', value: 'red' } }] },
    { kind: 'or', filters: [{ kind: 'in', field: 'number', values: [1, 2] }, { kind: 'not', filter: { kind: 'exists', field: 'word' } }] },
  ]);
}

export function newVector(world: EngineWorld, dimension: number): Float32Array {
  return Float32Array.from({ length: dimension }, () => 1 + world.below(1_000) - 500 || 1);
}
