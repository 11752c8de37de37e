// The verb `build`: what the container image holds, as the roots of its two layers, and how it is started.
//
//   dist/base/       Node, the libraries that it and the native modules are linked against, the production packages;
//                    changes with the lockfile only
//   dist/program/    /app: the program as JavaScript, the files it reads, the objects' schemas
//   dist/image.json  who runs it, and with what
//
// The Dockerfile and the test cluster take the same two directories, so there is one way to build the image.

import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';

import { runInPlace } from './child.mjs';
import { LaunchError } from './installation.mjs';
import { addonFile } from './native-core.mjs';
import { runtimeEnvironment, runtimePath, serverEnvironment, serverFlags } from './runtime.mjs';

const help = `usage: npm run build [-- --output DIR] [--part base|program]

Compiles the program to JavaScript and lays out what a container image holds: base/, program/, image.json.

  --output DIR   where (default: dist); what is there of an earlier build is replaced
  --part NAME    this layer alone`;

/** How the image is started; the Dockerfile says the same, and a test compares them. */
export const imageConfig = {
  Entrypoint: ['/usr/local/bin/shoal'],
  // libuv reads the size of its pool once, before any JavaScript runs; file and DNS work share it with the store.
  Env: [
    'PATH=/usr/local/bin',
    'UV_THREADPOOL_SIZE=8',
    ...Object.entries(serverEnvironment).map(([name, value]) => `${name}=${value}`),
    `NODE_OPTIONS=${serverFlags.join(' ')}`,
    'NODE_ENV=production',
  ],
  User: '65532:65532',
  WorkingDir: '/',
};

const parts = ['base', 'program'];

/** Beside compiled code, what the program reads from its own directory. */
const readAtRunTime = ['proto/gen/descriptors.binpb', 'crds', 'LICENSE'];

/** Threads are started by name, which the compiler cannot follow. */
const workers = 'pods/**/*-worker.ts';

/** Of packages, what only compilers and people read. Licences stay. */
const superfluous = /\.(?:[cm]?ts|map|md|markdown|c|cc|cpp|h|hpp|o|d|gypi?|bare|flow|tsbuildinfo)$|^(?:\.package-lock\.json|binding\.gyp|Makefile)$/;
const superfluousFolders = new Set(['.bin', '.github', '.cache', 'test', 'tests', '__tests__', 'obj.target', '.deps', 'node-compile']);
const runtimePackage = /^node_modules\/(?:node|node-bin)-(?:linux|darwin)-/;

export async function runBuild(root, args) {
  let values;
  try {
    ({ values } = parseArgs({ args, options: { output: { type: 'string' }, part: { type: 'string' }, help: { type: 'boolean', short: 'h' } } }));
    if (values.part !== undefined && !parts.includes(values.part)) throw new Error(`--part ${values.part}: ${parts.join(' or ')}`);
  } catch (error) {
    process.stderr.write(`${error.message}\n\n${help}\n`);
    return 2;
  }
  if (values.help === true) {
    process.stdout.write(`${help}\n`);
    return 0;
  }
  const output = values.output === undefined ? join(root, 'dist') : resolve(process.env.INIT_CWD ?? process.cwd(), values.output);
  const chosen = values.part === undefined ? parts : [values.part];
  for (const part of chosen) rmSync(join(output, part), { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  if (chosen.includes('program')) await buildProgram(root, join(output, 'program'));
  if (chosen.includes('base')) buildBase(root, join(output, 'base'));
  writeFileSync(join(output, 'image.json'), `${JSON.stringify(imageConfig, undefined, 2)}\n`);
  return 0;
}

/** Only what shoal.ts reaches; types are the business of `npm run check`. */
async function buildProgram(root, directory) {
  const app = join(directory, 'app');
  mkdirSync(app, { recursive: true });
  const project = join(directory, 'tsconfig.json');
  const compilerOptions = { noEmit: false, incremental: false, tsBuildInfoFile: null, noCheck: true, outDir: app, rootDir: root, declaration: false, types: [], typeRoots: [join(root, 'node_modules', '@types')] };
  writeFileSync(project, JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions, files: [join(root, 'shoal.ts')], include: [join(root, workers)], exclude: [] }));
  const code = await runInPlace(join(root, 'node_modules', '.bin', 'tsc'), ['--project', project], { cwd: root, env: runtimeEnvironment(root) });
  if (code !== 0) throw new LaunchError(`the compiler ended with ${code}`);
  rmSync(project);
  for (const path of readAtRunTime) if (existsSync(join(root, path))) cpSync(join(root, path), join(app, path), { recursive: true, filter: (source) => !source.endsWith('.ts') });
  const { name, version, license, type } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  writeFileSync(join(app, 'package.json'), `${JSON.stringify({ name, version, license, type, private: true }, undefined, 2)}\n`);
  const main = join(app, 'shoal.js');
  writeFileSync(main, `#!/usr/local/bin/node\n${readFileSync(main, 'utf8')}`);
  // Its libraries are in the base: other native modules need the same (a test compares them).
  if (existsSync(join(root, addonFile))) {
    mkdirSync(dirname(join(app, addonFile)), { recursive: true });
    copyFileSync(join(root, addonFile), join(app, addonFile));
  }
  openToAll(directory);
  chmodSync(main, 0o755);
}

function buildBase(root, directory) {
  const at = (path) => join(directory, path);
  for (const path of ['usr/local/bin', 'app/node_modules', 'etc', 'tmp']) mkdirSync(at(path), { recursive: true });
  const node = runtimePath(root);
  copyFileSync(node, at('usr/local/bin/node'));
  symlinkSync('/app/shoal.js', at('usr/local/bin/shoal'));
  for (const path of productionPackages(root)) {
    // A package inside another's node_modules comes with its own entry.
    cpSync(join(root, path), at(join('app', path)), { recursive: true, filter: (source) => isWanted(relative(join(root, path), source)) });
  }
  const programs = [node, ...filesUnder(at('app/node_modules')).filter((file) => file.endsWith('.node'))];
  for (const library of librariesOf(programs)) {
    mkdirSync(dirname(at(library)), { recursive: true });
    copyFileSync(library, at(library));
  }
  const user = imageConfig.User.split(':')[0];
  writeFileSync(at('etc/passwd'), `root:x:0:0:root:/:/sbin/nologin\nshoal:x:${user}:${user}:shoal:/:/sbin/nologin\n`);
  writeFileSync(at('etc/group'), `root:x:0:\nshoal:x:${user}:\n`);
  writeFileSync(at('etc/nsswitch.conf'), 'hosts: files dns\n');
  openToAll(directory);
  chmodSync(at('tmp'), 0o1777);
}

/** Paths of the packages that the program needs when it runs here, as the lockfile has them; Node itself is not among them. */
export function productionPackages(root) {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  return Object.entries(packages)
    .filter(([path, entry]) => path !== '' && entry.dev !== true && entry.devOptional !== true && !runtimePackage.test(path) && existsSync(join(root, path)))
    .map(([path]) => path)
    .sort();
}

/** `path`: inside a package. */
function isWanted(path) {
  const parts = path.split('/');
  const prebuilds = parts.indexOf('prebuilds');
  if (prebuilds >= 0 && parts.length > prebuilds + 1 && parts[prebuilds + 1] !== `${process.platform}-${process.arch}`) return false;
  if (parts.some((part) => part === 'node_modules' || superfluousFolders.has(part))) return false;
  return !superfluous.test(parts.at(-1));
}

export function librariesOf(programs) {
  const libraries = new Set();
  for (const program of programs) {
    const output = execFileSync('ldd', [program], { encoding: 'utf8' });
    if (output.includes('not found')) throw new LaunchError(`${program} is linked against what is not on this machine:\n${output}`);
    for (const [, path] of output.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)) libraries.add(path);
  }
  return [...libraries].sort();
}

/** Whoever runs it may read all and write nothing. */
function openToAll(directory) {
  chmodSync(directory, 0o755);
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) openToAll(path);
    else if (entry.isFile()) chmodSync(path, (statSync(path).mode & 0o111) !== 0 ? 0o755 : 0o644);
  }
}

function filesUnder(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
