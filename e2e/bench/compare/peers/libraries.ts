/** What is measured in a program of ours: libraries, and databases without a server. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startDriver, type DriverCommand } from '../driven-peer.ts';
import { compiledProgram, driverDirectory, pythonEnvironment } from '../installed-programs.ts';
import type { Peer } from '../peer.ts';

type Description = Pick<Peer, 'name' | 'kind' | 'about'>;

const hnswlibNode = new URL('../../../../node_modules/hnswlib-node/', import.meta.url);

function driven(description: Description, prepare: () => Promise<{ version: string; driver: DriverCommand }>): Peer {
  let driver: DriverCommand | undefined;
  return {
    ...description,
    async prepare() {
      const prepared = await prepare();
      driver = prepared.driver;
      return prepared.version;
    },
    async start(place) {
      const peer = startDriver(driver!, place);
      // The driver of a server elsewhere is a client: what it uses says nothing.
      if (description.kind === 'server') return { ...peer, pid: undefined, search: async (...asked) => ({ ...(await peer.search(...asked)), cpuMicros: undefined }) };
      return peer;
    },
  };
}

export const hnswlib = (): Peer =>
  driven({ name: 'hnswlib', kind: 'library', about: 'C++ headers, -O3 -march=native, 16 in flight are 16 threads' }, async () => {
    const source = join(driverDirectory, 'hnswlib.cpp');
    const headers = fileURLToPath(new URL('src/hnswlib', hnswlibNode));
    const version = `headers of hnswlib-node ${await hnswlibNodeVersion()}`;
    const program = await compiledProgram('hnswlib-driver', source, headers, `${version}\n${await readFile(source, 'utf8')}`);
    return { version, driver: { command: program, args: [] } };
  });

export const hnswlibForNode = (): Peer =>
  driven({ name: 'hnswlib-node', kind: 'library', about: 'npm package; blocks, so that 16 in flight are one after another' }, async () => ({
    version: await hnswlibNodeVersion(),
    driver: { command: process.execPath, args: ['--disable-warning=ExperimentalWarning', join(driverDirectory, 'hnswlib-node.ts')] },
  }));

export const usearch = (): Peer => python({ name: 'usearch', kind: 'library', about: 'Python package, float32, one thread a call' }, 'usearch_driver', ['usearch==2.26.6', 'numpy==2.4.6']);

export const lancedb = (): Peer => python({ name: 'lancedb', kind: 'embedded', about: 'Python package, IVF with one partition, HNSW over float32' }, 'lancedb_driver', ['lancedb==0.40.0', 'numpy==2.4.6']);

const milvusPackages = ['pymilvus==3.0.2', 'milvus-lite==3.2.2', 'faiss-cpu==1.15.1', 'numpy==2.4.6'];

export const milvusLite = (): Peer => python({ name: 'milvus-lite', kind: 'embedded', about: 'Python package, HNSW of Faiss, asked through pymilvus' }, 'milvus_driver', milvusPackages);

export const milvus = (address: string): Peer =>
  python({ name: 'milvus', kind: 'server', about: `at ${address}, asked through pymilvus; its CPU and memory are not seen` }, 'milvus_driver', milvusPackages, { MILVUS_ADDRESS: address });

function python(description: Description, module: string, packages: readonly string[], env: NodeJS.ProcessEnv = {}): Peer {
  return driven(description, async () => {
    const environment = await pythonEnvironment(description.name === 'milvus' ? 'milvus-lite' : description.name, packages);
    const args = ['-B', join(driverDirectory, 'driver.py'), module];
    return { version: packages[0]!.split('==')[1]!, driver: { command: join(environment, 'bin', 'python'), args, env } };
  });
}

async function hnswlibNodeVersion(): Promise<string> {
  return (JSON.parse(await readFile(new URL('package.json', hnswlibNode), 'utf8')) as { version: string }).version;
}
