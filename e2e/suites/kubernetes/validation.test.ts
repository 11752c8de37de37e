/**
 * Aim: every rule of the schemas refuses what it is there for, with its own sentence. The table has a row for each rule, by
 * its message; a rule without a row fails. What the schemas allow beside it is in metadata.test.ts, all transitions of an
 * authority are in g1.test.ts.
 */

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadAll } from 'js-yaml';
import { collectionSpec } from '../../../pods/domain/collection.ts';
import { hasCode } from '../../../pods/kernel/errors.ts';
import type { VectorShard } from '../../../pods/metadata/objects.ts';
import type { Manifest } from '../../framework/kubernetes/apply.ts';
import { shoalManifests, startKubernetes, type Kubernetes } from '../../framework/kubernetes/kubernetes.ts';

type Kind = 'VectorCollection' | 'VectorPool' | 'VectorShard';
type Spec = Readonly<Record<string, unknown>>;

interface Case {
  readonly kind: Kind;
  /** Of the rule. */
  readonly message: string;
  readonly what: string;
  /** The object as it is stored before; without it the case is about making one. */
  readonly before?: Spec;
  readonly after: Spec;
  /** Likewise of the status. */
  readonly statusBefore?: object;
  readonly statusAfter?: object;
  readonly name?: string;
}

const collection = { ...collectionSpec({ name: 'docs', dimension: 3 }), placement: { dedicated: { storage: '10Gi' } } };
const dedicated = (changes: object) => ({ ...collection, placement: { dedicated: { storage: '10Gi', ...changes } } });
const pool = { replicas: 3, storage: { size: '10Gi' } };
const tolerating = (toleration: object) => ({ ...pool, tolerations: [toleration] });
const shard = {
  collection: { name: 'docs', uid: 'uid-1' },
  generation: 1,
  index: 0,
  hashRange: { start: '0000000000000000', end: 'ffffffffffffffff' },
  replicas: ['a', 'b', 'c'],
  minInSync: 2,
} satisfies VectorShard['spec'];
const primary = { pod: 'a', podUID: 'uid-a', incarnation: 'a-1', session: 's-1' };
const members = (...pods: string[]) => pods.map((pod) => ({ pod, incarnation: `${pod}-1` }));
const first = { term: 1, configVersion: 1, primary, inSync: members('a', 'b', 'c') };
const led = { phase: 'Ready', authority: first };
const afterwards = (changes: object) => ({ phase: 'Ready', authority: { ...first, ...changes } });

const cases: readonly Case[] = [
  { kind: 'VectorCollection', message: "the object's name has more than 63 characters", what: 'a name of 64', name: 'c'.repeat(64), after: collection },
  { kind: 'VectorCollection', message: 'the name of an object with pods of its own has at most 52 lower-case letters, digits and hyphens: they are named by it', what: '53 letters', name: 'c'.repeat(53), after: collection },
  { kind: 'VectorCollection', message: 'the name of an object with pods of its own has at most 52 lower-case letters, digits and hyphens: they are named by it', what: 'a dot, and no word about pods', name: 'a.b', after: { ...collectionSpec({ name: 'docs', dimension: 3 }) } },
  { kind: 'VectorCollection', message: 'name is immutable', what: 'another name', before: collection, after: { ...collection, name: 'other' } },
  { kind: 'VectorCollection', message: 'name has more than 255 bytes', what: '128 letters of two bytes', after: { ...collection, name: 'é'.repeat(128) } },
  { kind: 'VectorCollection', message: 'name must not be . or ..', what: 'two dots', after: { ...collection, name: '..' } },
  { kind: 'VectorCollection', message: 'dimension is immutable', what: 'another dimension', before: collection, after: { ...collection, dimension: 4 } },
  { kind: 'VectorCollection', message: 'metric is immutable', what: 'another metric', before: collection, after: { ...collection, metric: 'dot' } },
  { kind: 'VectorCollection', message: 'shards is immutable: the points of a shard are not cut anew', what: 'more shards', before: collection, after: { ...collection, shards: 2 } },
  { kind: 'VectorCollection', message: 'minInSync must not exceed replicas', what: 'three of two', after: { ...collection, replication: { replicas: 2, minInSync: 3 } } },
  { kind: 'VectorCollection', message: 'minInSync must not exceed replicas', what: 'fewer replicas than were in sync', before: { ...collection, replication: { replicas: 3, minInSync: 2 } }, after: { ...collection, replication: { replicas: 1, minInSync: 2 } } },
  { kind: 'VectorCollection', message: 'index.type is immutable: the graph has been built with it', what: 'flat', before: collection, after: { ...collection, index: { ...collection.index, type: 'flat' } } },
  { kind: 'VectorCollection', message: 'index.m is immutable: the graph has been built with it', what: 'more links', before: collection, after: { ...collection, index: { ...collection.index, m: 17 } } },
  { kind: 'VectorCollection', message: 'index.efConstruction is immutable: the graph has been built with it', what: 'another breadth', before: collection, after: { ...collection, index: { ...collection.index, efConstruction: 99 } } },
  { kind: 'VectorCollection', message: 'index.quantization is immutable: the graph has been built with it', what: 'codes where there were none', before: collection, after: { ...collection, index: { ...collection.index, quantization: 'int8' } } },
  { kind: 'VectorCollection', message: 'index.quantization is immutable: the graph has been built with it', what: 'back to none by leaving it out', before: { ...collection, index: { quantization: 'int8' } }, after: { ...collection, index: {} } },
  { kind: 'VectorCollection', message: 'placement takes exactly one of pool and dedicated', what: 'both', after: { ...collection, placement: { pool: 'default', dedicated: {} } } },
  { kind: 'VectorCollection', message: 'placement takes exactly one of pool and dedicated', what: 'neither', after: { ...collection, placement: {} } },
  { kind: 'VectorCollection', message: 'placement cannot change between pool and dedicated', what: 'from pods of its own to a pool', before: collection, after: { ...collection, placement: { pool: 'default' } } },
  { kind: 'VectorCollection', message: 'placement cannot change between pool and dedicated', what: 'from a pool to the default', before: { ...collection, placement: { pool: 'default' } }, after: { ...collection, placement: undefined } },
  { kind: 'VectorCollection', message: 'placement.pool is immutable', what: 'another pool', before: { ...collection, placement: { pool: 'default' } }, after: { ...collection, placement: { pool: 'other' } } },
  { kind: 'VectorCollection', message: 'storageClassName is immutable', what: 'a class where there was none', before: dedicated({}), after: dedicated({ storageClassName: 'fast' }) },
  { kind: 'VectorCollection', message: 'storageClassName is immutable', what: 'another class', before: dedicated({ storageClassName: 'slow' }), after: dedicated({ storageClassName: 'fast' }) },
  { kind: 'VectorCollection', message: 'storage must be a positive quantity, such as 100Gi', what: 'a word', after: dedicated({ storage: 'much' }) },
  { kind: 'VectorCollection', message: 'a volume cannot shrink', what: 'from 10Gi to 9.5Gi', before: dedicated({}), after: dedicated({ storage: '9.5Gi' }) },
  { kind: 'VectorCollection', message: 'must be a quantity', what: 'requests', after: dedicated({ resources: { requests: { cpu: 'two' } } }) },
  { kind: 'VectorCollection', message: 'must be a quantity', what: 'limits', after: dedicated({ resources: { limits: { cpu: 'two' } } }) },
  { kind: 'VectorCollection', message: 'placement.dedicated.pods must not be less than replication.replicas: no pod holds two replicas of a shard', what: 'two pods for three', after: { ...dedicated({ pods: 2 }), replication: { replicas: 3 } } },
  { kind: 'VectorPool', message: 'the name of a pool has at most 52 lower-case letters, digits and hyphens: its pods are named by it', what: '53 letters', name: 'p'.repeat(53), after: pool },
  { kind: 'VectorPool', message: 'the name of a pool has at most 52 lower-case letters, digits and hyphens: its pods are named by it', what: 'a dot', name: 'a.b', after: pool },
  { kind: 'VectorPool', message: 'size must be a positive quantity, such as 100Gi', what: 'nothing', after: { ...pool, storage: { size: '0' } } },
  { kind: 'VectorPool', message: 'a volume cannot shrink', what: 'from 10Gi to 10G', before: pool, after: { ...pool, storage: { size: '10G' } } },
  { kind: 'VectorPool', message: 'storageClassName is immutable', what: 'a class taken away', before: { ...pool, storage: { size: '10Gi', storageClassName: 'fast' } }, after: pool },
  { kind: 'VectorPool', message: 'must be a quantity', what: 'limits', after: { ...pool, resources: { limits: { memory: 'lots' } } } },
  { kind: 'VectorPool', message: 'must be a quantity', what: 'requests', after: { ...pool, resources: { requests: { memory: 'lots' } } } },
  { kind: 'VectorPool', message: 'value goes with the operator Equal only', what: 'Exists with a value', after: tolerating({ key: 'k', operator: 'Exists', value: 'v' }) },
  { kind: 'VectorPool', message: 'without a key the operator must be Exists', what: 'nothing at all', after: tolerating({}) },
  { kind: 'VectorPool', message: 'tolerationSeconds goes with the effect NoExecute only', what: 'for NoSchedule', after: tolerating({ key: 'k', effect: 'NoSchedule', tolerationSeconds: 1 }) },
  { kind: 'VectorShard', message: 'G1: identity is immutable', what: 'another collection', before: shard, after: { ...shard, collection: { name: 'docs', uid: 'uid-2' } } },
  { kind: 'VectorShard', message: 'G1: identity is immutable', what: 'another generation', before: shard, after: { ...shard, generation: 2 } },
  { kind: 'VectorShard', message: 'G1: identity is immutable', what: 'another index', before: shard, after: { ...shard, index: 1 } },
  { kind: 'VectorShard', message: 'G1: identity is immutable', what: 'another range', before: shard, after: { ...shard, hashRange: { ...shard.hashRange, start: '0000000000000001' } } },
  { kind: 'VectorShard', message: 'the range ends before it starts', what: 'backwards', after: { ...shard, hashRange: { start: '2000000000000000', end: '1000000000000000' } } },
  { kind: 'VectorShard', message: 'G1: authority, once written, is never removed', what: 'an empty status', before: shard, statusBefore: led, after: shard, statusAfter: {} },
  { kind: 'VectorShard', message: 'G1: the first authority has term 1 and configVersion 1', what: 'term 2 from the start', before: shard, after: shard, statusAfter: afterwards({ term: 2 }) },
  { kind: 'VectorShard', message: 'G1: every inSync member is in spec.replicas (remove from inSync first)', what: 'a stranger', before: shard, statusBefore: led, after: shard, statusAfter: afterwards({ configVersion: 2, inSync: members('a', 'b', 'd') }) },
  { kind: 'VectorShard', message: 'G1: every inSync member is in spec.replicas (remove from inSync first)', what: 'a replica taken away that counts', before: shard, statusBefore: led, after: { ...shard, replicas: ['a', 'b'] } },
  {
    kind: 'VectorShard',
    message: 'G1: a new term keeps inSync, and its primary was in the old inSync (or spec.acceptDataLoss names exactly this term and incarnation)',
    what: 'a term that begins with one member less',
    before: shard,
    statusBefore: led,
    after: shard,
    statusAfter: afterwards({ term: 2, configVersion: 2, inSync: members('a', 'b') }),
  },
  { kind: 'VectorShard', message: 'W5: inSync never shrinks below minInSync', what: 'one of two', before: shard, statusBefore: afterwards({ inSync: members('a', 'b') }), after: shard, statusAfter: afterwards({ configVersion: 2, inSync: members('a') }) },
  { kind: 'VectorShard', message: 'G1: the primary is a member of inSync', what: 'it leaves', before: shard, statusBefore: led, after: shard, statusAfter: afterwards({ configVersion: 2, inSync: members('b', 'c') }) },
  { kind: 'VectorShard', message: 'G1: term stays or grows by one', what: 'a term left out', before: shard, statusBefore: led, after: shard, statusAfter: afterwards({ term: 3 }) },
  { kind: 'VectorShard', message: 'G1: a new primary or session needs term + 1', what: 'another session', before: shard, statusBefore: led, after: shard, statusAfter: afterwards({ primary: { ...primary, session: 's-2' } }) },
  { kind: 'VectorShard', message: 'G1: configVersion grows by one exactly when inSync changes', what: 'it grows by itself', before: shard, statusBefore: led, after: shard, statusAfter: afterwards({ configVersion: 2 }) },
  { kind: 'VectorShard', message: 'G1: one member at a time is added, removed, or replaced by a new incarnation', what: 'two leave', before: { ...shard, minInSync: 1 }, statusBefore: led, after: { ...shard, minInSync: 1 }, statusAfter: afterwards({ configVersion: 2, inSync: members('a') }) },
];

let kubernetes: Kubernetes;
let manifests: readonly Manifest[];
before(async () => {
  kubernetes = await startKubernetes();
  manifests = await shoalManifests();
  await kubernetes.apply(...manifests);
});
after(() => kubernetes.close());

describe('what the rules refuse', () => {
  for (const [number, { kind, message, what, ...row }] of cases.entries()) {
    test(`${kind}: ${message}: ${what}`, async () => {
      const path = `/apis/shoal.dev/v1alpha1/namespaces/default/${kind.toLowerCase()}s`;
      const name = row.name ?? `case-${number}`;
      const body = (spec: Spec) => ({ apiVersion: 'shoal.dev/v1alpha1', kind, metadata: { name }, spec });
      const refused = (error: unknown): boolean => {
        assert.ok(hasCode(error, 'INVALID_ARGUMENT'), String(error));
        assert.ok((error as Error).message.includes(message), (error as Error).message);
        return true;
      };
      if (row.before === undefined) return assert.rejects(kubernetes.admin.write({ method: 'POST', path, body: body(row.after) }), refused);
      let stored = (await kubernetes.admin.write({ method: 'POST', path, body: body(row.before) })) as { metadata: object };
      if (row.statusBefore !== undefined) stored = (await kubernetes.admin.write({ method: 'PUT', path: `${path}/${name}/status`, body: { ...stored, status: row.statusBefore } })) as { metadata: object };
      const part = row.statusAfter === undefined ? '' : '/status';
      const wanted = { ...stored, spec: row.after, ...(row.statusAfter === undefined ? {} : { status: row.statusAfter }) };
      await assert.rejects(kubernetes.admin.write({ method: 'PUT', path: `${path}/${name}${part}`, body: wanted }), refused);
      assert.deepEqual(await kubernetes.admin.read(`${path}/${name}`), stored);
    });
  }
});

test('every rule has its case', () => {
  const rules = manifests.filter(({ kind }) => kind === 'CustomResourceDefinition').flatMap((definition) => rulesOf(definition));
  assert.ok(rules.length > 40);
  const missing = rules.filter((rule) => !cases.some(({ kind, message }) => `${kind}: ${message}` === rule));
  assert.deepEqual(missing, []);
});

describe('samples of the documentation', () => {
  const directory = join(import.meta.dirname, '..', '..', '..', 'docs', 'samples');
  for (const file of readdirSync(directory)) {
    test(`${file} is taken, and has no field that is not known`, async () => {
      for (const object of loadAll(readFileSync(join(directory, file), 'utf8')) as Manifest[]) {
        const path = `/apis/${object.apiVersion}/namespaces/default/${object.kind.toLowerCase()}s`;
        await kubernetes.admin.write({ method: 'POST', path, query: { fieldValidation: 'Strict' }, body: object });
      }
    });
  }
});

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly 'x-kubernetes-validations'?: readonly { readonly message: string }[];
}

/** `Kind: message` of each rule. */
function rulesOf(definition: Manifest): string[] {
  const { names, versions } = (definition as unknown as { spec: { names: { kind: string }; versions: { schema: { openAPIV3Schema: Schema } }[] } }).spec;
  const below = (schema: Schema): string[] => [
    ...(schema['x-kubernetes-validations'] ?? []).map(({ message }) => `${names.kind}: ${message}`),
    ...[...Object.values(schema.properties ?? {}), schema.items, schema.additionalProperties].flatMap((part) => (part === undefined ? [] : below(part))),
  ];
  return below(versions[0]!.schema.openAPIV3Schema);
}
