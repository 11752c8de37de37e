// The one shared library that npm cannot install: rocksdb-native is linked against libatomic, which small Linux systems
// lack. Said before anything starts, with the command that helps, instead of by a failing import.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { runtimeEnvironment, runtimePath } from './runtime.mjs';

const libraryPaths = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/lib64', '/usr/lib', '/lib'].map((directory) =>
  join(directory, 'libatomic.so.1'),
);

const advice =
  'libatomic.so.1 is missing, which the store needs; install it and run the command again:\n' +
  '  Debian, Ubuntu   apt-get install libatomic1\n' +
  '  Fedora, RHEL     dnf install libatomic\n' +
  '  Alpine           apk add libatomic';

/** What is missing, as a message, or undefined. Looks at the usual places first: that costs nothing at a usual start. */
export function libraryProblem(root, paths = libraryPaths) {
  if (process.platform !== 'linux' || paths.some((path) => existsSync(path))) return undefined;
  return loadProblem(root);
}

/** Loads the native modules in a process of their own, and says why they cannot be loaded. */
export function loadProblem(root) {
  const program = "require('rocksdb-native'); require('hnswlib-node'); require('@node-rs/crc32');";
  const result = spawnSync(runtimePath(root), ['--eval', program], { cwd: root, env: runtimeEnvironment(root), encoding: 'utf8', timeout: 60_000 });
  return result.status === 0 ? undefined : loadMessage(result.stderr ?? '');
}

export function loadMessage(stderr) {
  return stderr.includes('libatomic') ? advice : `the native modules cannot be loaded on this machine:\n${stderr.trim()}`;
}
