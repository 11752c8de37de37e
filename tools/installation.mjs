// Keeps node_modules in step with the lockfile.
//
//   fingerprint in node_modules/.shoal-install.json equal to the checkout's  -> nothing to do (the usual start)
//   npm's own record of what it installed equal to the lockfile              -> write the fingerprint (someone ran npm)
//   else                                                                     -> npm ci, then write the fingerprint
//
// The last two happen under a lock, so that two commands started together install once.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { runInPlace } from './child.mjs';
import { withInstallLock } from './install-lock.mjs';
import { ensureNativeCore, isCoreFresh } from './native-core.mjs';
import { libraryProblem, loadProblem } from './native-libraries.mjs';
import { headersDirectory, runtimeMissingMessage, runtimePath } from './runtime.mjs';

/** Something the person at the terminal can act on: shown without a stack. */
export class LaunchError extends Error {}

const markerPath = (root) => join(root, 'node_modules', '.shoal-install.json');
const addonPath = (root) => join(root, 'node_modules', 'hnswlib-node', 'build', 'Release', 'addon.node');

const say = (line) => process.stderr.write(`shoal: ${line}\n`);

/** Installs what is missing or stale, and builds the native core. Returns what it did about packages. */
export async function ensureInstalled(root, { install = npmInstall, buildCore = ensureNativeCore, report = say } = {}) {
  const wanted = fingerprint(root);
  let did = 'nothing';
  if (recordedFingerprint(root) !== wanted) {
    did = await withInstallLock(root, report, async () => {
      if (recordedFingerprint(root) === wanted) return 'waited';
      const difference = installedDifference(root);
      if (difference !== undefined) {
        report(`installing: ${difference}`);
        await install(root, report);
        if (runtimePath(root) === undefined) throw new LaunchError(runtimeMissingMessage);
        const problem = loadProblem(root);
        if (problem !== undefined) throw new LaunchError(problem);
      }
      writeFileSync(markerPath(root), `${JSON.stringify({ fingerprint: wanted })}\n`);
      return difference === undefined ? 'adopted' : 'installed';
    });
  }
  const problem = libraryProblem(root);
  if (problem !== undefined) throw new LaunchError(problem);
  // Under the lock only when there is something to build.
  if (!isCoreFresh(root)) await withInstallLock(root, report, () => buildCore(root, { report }));
  return did;
}

/** Everything that decides what belongs in node_modules on this machine. Scripts and the version do not. */
export function fingerprint(root, platform = `${process.platform}-${process.arch}`) {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const { dependencies, devDependencies, optionalDependencies, overrides, allowScripts } = manifest;
  const hash = createHash('sha256');
  hash.update(JSON.stringify([platform, dependencies, devDependencies, optionalDependencies, overrides, allowScripts]));
  hash.update(readFileSync(join(root, 'package-lock.json')));
  return hash.digest('hex');
}

function recordedFingerprint(root) {
  return readJson(markerPath(root))?.fingerprint;
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined; // Missing or cut off by a crash: either way it says nothing, and the caller installs.
  }
}

/** The first way in which node_modules differs from the lockfile, as words, or undefined when it fits. */
export function installedDifference(root, platform = process.platform, arch = process.arch) {
  const recorded = readJson(join(root, 'node_modules', '.package-lock.json'))?.packages;
  if (recorded === undefined) return 'node_modules is missing or incomplete';
  const { packages: locked } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  for (const [path, entry] of Object.entries(locked)) {
    if (path === '' || (entry.optional === true && !fitsPlatform(entry, platform, arch))) continue;
    const name = path.slice('node_modules/'.length);
    const found = recorded[path];
    if (found === undefined) {
      // An optional package may be missing for reasons npm accepts; without the runtime nothing works.
      if (entry.optional === true && entry.bin?.node === undefined) continue;
      return `${name} is not installed`;
    }
    if (found.version !== entry.version || found.integrity !== entry.integrity) {
      return `${name} ${entry.version} is locked, ${found.version} is installed`;
    }
    if (!existsSync(join(root, path))) return `${name} is gone from node_modules`;
  }
  for (const path of Object.keys(recorded)) {
    if (locked[path] === undefined) return `${path.slice('node_modules/'.length)} is installed but not locked`;
  }
  if (!existsSync(addonPath(root))) return 'hnswlib-node is not compiled';
  return undefined;
}

function fitsPlatform(entry, platform, arch) {
  const allows = (list, value) => list === undefined || [list].flat().includes(value);
  return allows(entry.os, platform) && allows(entry.cpu, arch);
}

async function npmInstall(root, report) {
  const npm = npmCommand();
  const environment = { ...process.env, ...nodeGypEnvironment(root, npm.nodeGypPath) };
  const startedMs = Date.now();
  const progress = setInterval(() => {
    const stage = existsSync(join(root, 'node_modules', 'hnswlib-node', 'build')) ? 'compiling hnswlib-node' : 'fetching packages';
    report(`${stage}, ${Math.round((Date.now() - startedMs) / 1000)} s`);
  }, 5_000);
  let code;
  try {
    const args = [...npm.args, 'ci', '--include=dev', '--include=optional', '--engine-strict=false', '--loglevel=error'];
    code = await runInPlace(npm.command, args, { cwd: root, env: environment, stdio: ['ignore', process.stderr, process.stderr] });
  } catch (error) {
    throw new LaunchError(`cannot run npm: ${error.message}`);
  } finally {
    clearInterval(progress);
  }
  if (code !== 0) throw new LaunchError(`npm ci failed with exit code ${code}; compiling hnswlib-node takes a C++ compiler, make and Python 3`);
  report(`installed in ${Math.round((Date.now() - startedMs) / 1000)} s`);
}

/** The npm that started this process, on the Node it ran on (not the one in node_modules, which is about to be replaced). */
function npmCommand() {
  const { npm_execpath: cli, npm_node_execpath: node } = process.env;
  if (cli === undefined || !cli.endsWith('npm-cli.js') || !existsSync(cli)) return { command: 'npm', args: [], nodeGypPath: undefined };
  const nodeGypPath = join(dirname(dirname(cli)), 'node_modules', 'node-gyp', 'lib', 'node-gyp.js');
  return { command: node !== undefined && existsSync(node) ? node : process.execPath, args: [cli], nodeGypPath };
}

/**
 * Tells node-gyp where headers lie. Newer versions read `npm_package_config_node_gyp_*`, which wins over any npmrc; npm 10
 * carries an older one that reads `npm_config_*`, about which npm 11 would complain: so that only when it is needed.
 */
function nodeGypEnvironment(root, nodeGypPath) {
  const directory = headersDirectory(root);
  if (directory === undefined) return {};
  const readsPackageConfig = nodeGypPath !== undefined && existsSync(nodeGypPath) && readFileSync(nodeGypPath, 'utf8').includes('npm_package_config_node_gyp_');
  return { npm_package_config_node_gyp_nodedir: directory, ...(readsPackageConfig ? {} : { npm_config_nodedir: directory }) };
}
