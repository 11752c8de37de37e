import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../kernel/logger.ts';
import { graphFactoryOf } from './graph-factory.ts';

const parameters = { dimension: 2, metric: 'euclidean', m: 16, efConstruction: 100 } as const;

test('the option chooses the implementation', async () => {
  for (const indexImplementation of ['native', 'hnswlib'] as const) {
    const index = await graphFactoryOf({ indexImplementation, indexThreads: 0 }, silentLogger).create(parameters);
    assert.equal(index.kind, indexImplementation);
    await index.close();
  }
});
