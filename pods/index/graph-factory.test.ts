import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { silentLogger } from '../kernel/logger.ts';
import { graphFactoryOf } from './graph-factory.ts';

const parameters = { dimension: 2, metric: 'euclidean', m: 16, efConstruction: 100 } as const;

test('the option chooses the implementation', async () => {
  for (const indexImplementation of ['native', 'hnswlib'] as const) {
    const factory = graphFactoryOf({ indexImplementation, indexThreads: 0, dataDirectory: tmpdir() }, silentLogger);
    assert.deepEqual(factory.quantizations, indexImplementation === 'native' ? ['none', 'int8'] : ['none']);
    const index = await factory.create(parameters);
    assert.equal(index.kind, indexImplementation);
    await index.close();
  }
});
