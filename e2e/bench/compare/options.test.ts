import assert from 'node:assert/strict';
import { test } from 'node:test';
import { peerNames, readCompareOptions } from './options.ts';

test('by default everything runs that needs no address', () => {
  assert.deepEqual(readCompareOptions([]), {
    datasets: ['glove', 'text'],
    peers: peerNames.map((name) => ({ name })),
    pointCount: undefined,
    queryCount: 2_000,
    runCount: 3,
    breadths: [16, 32, 64, 128, 256, 512, 1_024, 2_048],
    resume: undefined,
    output: 'table',
    writeDocs: false,
  });
});

test('a short run of some, with a server that runs already', () => {
  const options = readCompareOptions(['--dataset', 'glove', '--peers', 'shoal,weaviate:2,qdrant=10.0.0.1:6333', '--points', '20000', '--queries', '300', '--runs', '3', '--ef', '64,32', '--resume', '/kept/glove', '--output', 'json', '--write-docs']);
  assert.deepEqual(options, {
    datasets: ['glove'],
    peers: [{ name: 'shoal' }, { name: 'weaviate', runCount: 2 }, { name: 'qdrant', address: '10.0.0.1:6333' }],
    pointCount: 20_000,
    queryCount: 300,
    runCount: 3,
    breadths: [32, 64],
    resume: '/kept/glove',
    output: 'json',
    writeDocs: true,
  });
});

for (const argv of [['--peers', 'qdrant'], ['--peers', 'chroma=x'], ['--peers', 'chroma:0'], ['--peers', ''], ['--runs', '0'], ['--points', 'many'], ['--dataset', 'sift'], ['--output', 'xml'], ['glove'], ['--resume', 'kept'], ['--unknown']]) {
  test(`bad usage: ${argv.join(' ')}`, () => assert.throws(() => readCompareOptions(argv), Error));
}

test('help', () => assert.equal(readCompareOptions(['--help']), undefined));
