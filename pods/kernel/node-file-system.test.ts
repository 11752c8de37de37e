import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileSystemConformance } from './file-system.conformance.ts';
import { nodeFileSystem } from './node-file-system.ts';

fileSystemConformance('nodeFileSystem', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-file-system-'));
  return { fileSystem: nodeFileSystem, directory, dispose: () => rm(directory, { recursive: true, force: true }) };
});
