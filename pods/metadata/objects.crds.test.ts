/** Aim: the schemas in crds/ and the types in objects.ts have the same fields, and the same bounds as the code. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { load } from 'js-yaml';
import { limits } from '../kernel/limits.ts';
import { collectionSpec, quantizations, type CollectionSpec } from '../domain/collection.ts';
import { payloadIndexTypes } from '../domain/filter.ts';
import { metrics } from '../domain/metric.ts';
import type { VectorCollectionSpec } from '../../crds/gen/objects.ts';
import { fullSpecs, fullStatus } from './full-objects.fixture.ts';
import type { CollectionHosting } from './objects.ts';

interface Schema {
  readonly type?: string;
  readonly default?: unknown;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
}

interface Definition {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly names: { readonly plural: string; readonly shortNames: readonly string[]; readonly categories: readonly string[] };
    readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Schema } }[];
  };
}

const kinds = { collections: 'vc', pools: 'vp', shards: 'vs' } as const;

for (const [kind, shortName] of Object.entries(kinds) as [keyof typeof kinds, string][]) {
  const definition = load(readFileSync(new URL(`../../crds/vector${kind}.yaml`, import.meta.url), 'utf8')) as Definition;
  const schema = definition.spec.versions[0]!.schema.openAPIV3Schema;

  test(`${definition.metadata.name}: the fields of the schema are those of the type`, () => {
    const { names, group } = definition.spec;
    assert.deepEqual([group, names.plural, names.shortNames, names.categories], ['shoal.dev', `vector${kind}`, [shortName], ['shoal']]);
    // Of which an object has one or the other.
    const other = kind === 'collections' ? ['spec.placement.pool'] : [];
    const inType = [...fieldsOf({ spec: fullSpecs[kind], status: fullStatus[kind] }), ...other].sort();
    assert.deepEqual([...new Set(fieldsOfSchema(schema))].sort(), [...new Set(inType)]);
  });

  test(`${definition.metadata.name}: each field is explained and bounded`, () => {
    const faults: string[] = [];
    for (const [path, { type, description, properties, additionalProperties, maxLength, maxItems, maxProperties, minimum, enum: words }] of schemasIn(schema)) {
      const isWellKnown = /(^|\.)(pod|incarnation)$/.test(path);
      const isItem = path.endsWith('[]') || path.endsWith('{}');
      if (description === undefined && !isItem && !isWellKnown) faults.push(`${path} has no description`);
      const bound = { string: maxLength ?? words?.length, array: maxItems, integer: minimum, object: properties === undefined ? additionalProperties && maxProperties : 1 }[type ?? ''];
      if (bound === undefined && !path.endsWith('lastTransitionTime')) faults.push(`${path} has no bound`);
    }
    assert.deepEqual(faults, []);
  });
}

test('the bounds of a collection are those of the code', () => {
  const definition = load(readFileSync(new URL('../../crds/vectorcollections.yaml', import.meta.url), 'utf8')) as Definition;
  const { spec } = definition.spec.versions[0]!.schema.openAPIV3Schema.properties!;
  const { name, dimension, metric, shards, index, payloadIndexes } = spec!.properties!;
  assert.deepEqual(
    {
      name: name!.maxLength,
      dimension: dimension!.maximum,
      metric: metric!.enum,
      shards: shards!.maximum,
      efSearch: index!.properties!['efSearch']!.maximum,
      quantization: index!.properties!['quantization']!.enum,
      payloadIndexes: payloadIndexes!.maxItems,
      field: payloadIndexes!.items!.properties!['field']!.maxLength,
      type: payloadIndexes!.items!.properties!['type']!.enum,
    },
    {
      name: limits.collectionNameBytesMax,
      dimension: limits.dimensionMax,
      metric: [...metrics],
      shards: limits.shardCountMax,
      efSearch: limits.efSearchMax,
      quantization: [...quantizations],
      payloadIndexes: limits.payloadIndexCountMax,
      field: limits.fieldNameBytesMax,
      type: [...payloadIndexTypes],
    },
  );
});

test('what the APIs say of a collection is what the object says of it, but for its hosting', () => {
  const fromApi: Omit<VectorCollectionSpec, keyof CollectionHosting> = collectionSpec({ name: 'a', dimension: 1 });
  const fromObject: CollectionSpec = fromApi satisfies CollectionSpec;
  const definition = load(readFileSync(new URL('../../crds/vectorcollections.yaml', import.meta.url), 'utf8')) as Definition;
  const { spec } = definition.spec.versions[0]!.schema.openAPIV3Schema.properties!;
  assert.deepEqual(withDefaults(spec!, { name: 'a', dimension: 1 }), { ...fromObject, placement: { dedicated: { storage: '10Gi' } }, deletionPolicy: 'Delete' });
});

/** As the API server fills them in. */
function withDefaults(schema: Schema, value: unknown): unknown {
  if (schema.properties === undefined || typeof value !== 'object' || value === null) return value;
  const filled: Record<string, unknown> = { ...value };
  for (const [name, field] of Object.entries(schema.properties)) {
    if (filled[name] === undefined && field.default !== undefined) filled[name] = field.default;
    if (filled[name] !== undefined) filled[name] = withDefaults(field, filled[name]);
  }
  return filled;
}

/** Paths of everything that has no parts; `[]` stands for any item of a list, `{}` for any value of a map. */
function fieldsOfSchema(schema: Schema): string[] {
  return [...schemasIn(schema)].filter(([, { properties, additionalProperties, items }]) => (properties ?? additionalProperties ?? items) === undefined).map(([path]) => path);
}

function* schemasIn(schema: Schema, path = ''): Generator<[path: string, schema: Schema]> {
  if (path !== '') yield [path, schema];
  for (const [name, part] of Object.entries(schema.properties ?? {})) yield* schemasIn(part, path === '' ? name : `${path}.${name}`);
  if (schema.items !== undefined) yield* schemasIn(schema.items, `${path}[]`);
  if (schema.additionalProperties !== undefined) yield* schemasIn(schema.additionalProperties, `${path}{}`);
}

function* fieldsOf(value: unknown, path = ''): Generator<string> {
  if (Array.isArray(value)) for (const item of value) yield* fieldsOf(item, `${path}[]`);
  else if (value === null || typeof value !== 'object') yield path;
  else {
    const isMap = /(resources\.(requests|limits)|nodeSelector)$/.test(path);
    for (const [name, part] of Object.entries(value)) yield* fieldsOf(part, isMap ? `${path}{}` : path === '' ? name : `${path}.${name}`);
  }
}
