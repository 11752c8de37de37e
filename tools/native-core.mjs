// Builds the native vector core (pods/native/core) with the compiler that hnswlib-node needs anyway, once for each state of
// its sources:
//
//   pods/native/build/core.node     the addon
//   pods/native/build/core.json     {key}: hash of sources, compiler, flags, headers, platform; {problem} when it failed
//   pods/native/build/stress-…      programs for tests, of the present state of the sources
//
// Where it cannot be built the program goes on with hnswlib-node, and says at each start what that costs.

import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { headersDirectory } from './runtime.mjs';

export const sourceDirectory = 'pods/native/core';
export const addonFile = 'pods/native/build/core.node';
const recordFile = 'pods/native/build/core.json';

const compileTimeoutMs = 5 * 60_000;

/** What the program loses without the core, for people. */
export const fallbackMessage =
  'the native vector core could not be built; hnswlib-node serves instead: vectors are in memory twice, searches and imports take more processor time';

// Without -march=native: the binary runs on every machine of its architecture, and picks its kernels when it starts.
const commonFlags = ['-std=c++17', '-O3', '-fPIC', '-pthread', '-fvisibility=hidden', '-Wall', '-Wextra'];

/** Files with instructions that not every processor has: nothing in them runs before the processor was asked. */
const flagsOfFile = {
  x64: {
    'kernels-avx2.cpp': ['-mavx2', '-mfma'],
    // Headers of GCC 12 use a variable before it is set, on purpose.
    'kernels-avx512.cpp': ['-mavx2', '-mfma', '-mavx512f', '-mavx512bw', '-mavx512vl', '-mavx512vnni', '-Wno-uninitialized', '-Wno-maybe-uninitialized'],
  },
};

/** The compiler as it is found, or undefined. */
export function findCompiler(environment = process.env) {
  for (const command of [environment.CXX, 'c++', 'g++', 'clang++']) {
    if (command === undefined || command === '') continue;
    try {
      const version = execFileSync(command, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
      return { command, version: version.split('\n')[0] };
    } catch {
      // Not there, or no compiler: the next one.
    }
  }
  return undefined;
}

/** Whether there is nothing to do, told without asking for a compiler. */
export function isCoreFresh(root) {
  if (!existsSync(join(root, sourceDirectory))) return true;
  const record = readRecord(root);
  return record?.problem === undefined && record?.sources === sourcesKey(root) && existsSync(join(root, addonFile));
}

/** Compiles what is missing or stale. Returns 'present', 'built' or 'failed'; never throws for what a compiler says. */
export async function ensureNativeCore(root, { report = () => {}, compiler } = {}) {
  if (isCoreFresh(root)) return 'present';
  const record = readRecord(root);
  const sources = sourcesKey(root);
  const found = compiler ?? findCompiler();
  const key = createHash('sha256').update(JSON.stringify([sources, found?.command, found?.version])).digest('hex');
  // A failure is not repeated at each start: only when something changed that it may depend on.
  if (record?.key === key && record.problem !== undefined) return fail(report, record.problem);
  const startedMs = Date.now();
  const problem = found === undefined ? 'there is no C++ compiler (c++, g++ or clang++)' : await build(root, found.command, report);
  writeRecord(root, { sources, key, ...(problem === undefined ? {} : { problem }) });
  if (problem !== undefined) return fail(report, problem);
  report(`built the vector core in ${Math.round((Date.now() - startedMs) / 1000)} s`);
  return 'built';
}

function fail(report, problem) {
  report(`${fallbackMessage} (${problem.split('\n')[0]})`);
  return 'failed';
}

function sourcesKey(root) {
  const hash = createHash('sha256').update(JSON.stringify([process.platform, process.arch, commonFlags, flagsOfFile, headersVersion(root)]));
  for (const name of readdirSync(join(root, sourceDirectory)).sort()) hash.update(name).update(readFileSync(join(root, sourceDirectory, name)));
  return hash.digest('hex');
}

/** Node-API keeps its binary form, but not the place of its headers. */
function headersVersion(root) {
  const path = join(headersDirectory(root) ?? '', 'include/node/node_version.h');
  return existsSync(path) ? createHash('sha256').update(readFileSync(path)).digest('hex') : '';
}

function readRecord(root) {
  try {
    return JSON.parse(readFileSync(join(root, recordFile), 'utf8'));
  } catch {
    return undefined; // Missing or cut off: it says nothing, and the core is built.
  }
}

function writeRecord(root, record) {
  mkdirSync(join(root, recordFile, '..'), { recursive: true });
  writeFileSync(join(root, `${recordFile}.part`), `${JSON.stringify(record)}\n`);
  renameSync(join(root, `${recordFile}.part`), join(root, recordFile));
}

/** Undefined, or what went wrong. The addon takes its place as a whole, so that whoever has the old one loaded keeps it. */
async function build(root, command, report) {
  const headers = headersDirectory(root);
  if (headers === undefined) return 'there are no headers of Node';
  mkdirSync(join(root, addonFile, '..'), { recursive: true });
  const directory = mkdtempSync(join(root, addonFile, '..', 'objects-'));
  try {
    report('compiling the vector core');
    const include = ['-I', join(headers, 'include/node')];
    const names = coreSources(root, { addon: true });
    const objects = names.map((name) => join(directory, `${name}.o`));
    const compile = (name, i) => run(command, [...commonFlags, ...fileFlags(name), ...include, '-c', join(root, sourceDirectory, name), '-o', objects[i]]);
    const problem = await allInTurns(names, compile);
    if (problem !== undefined) return problem;
    const addon = join(directory, 'core.node');
    const shared = process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared', '-pthread'];
    const linkProblem = await run(command, [...shared, ...objects, '-o', addon]);
    if (linkProblem !== undefined) return linkProblem;
    renameSync(addon, join(root, addonFile));
    return undefined;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Names of the translation units: those of the addon, or those that programs without Node are made of. */
export function coreSources(root, { addon }) {
  return readdirSync(join(root, sourceDirectory))
    .filter((name) => name.endsWith('.cpp') && !name.endsWith('-main.cpp') && (addon || !name.startsWith('addon')))
    .sort();
}

export function fileFlags(name, arch = process.arch) {
  return flagsOfFile[arch]?.[name] ?? [];
}

/**
 * A program for tests, made of the core and `<name>-main.cpp`, with further flags such as a sanitizer's. Built once for each
 * state of the sources, when those of other states go; returns its path, or why the compiler cannot make it.
 */
export async function buildCoreProgram(root, name, flags, compiler = findCompiler()) {
  if (compiler === undefined) return { problem: 'there is no C++ compiler' };
  const state = `${name}-${shortHash([sourcesKey(root), compiler])}-`;
  const path = join(root, addonFile, '..', `${state}${shortHash(flags)}`);
  if (existsSync(path)) return { path };
  mkdirSync(join(root, addonFile, '..'), { recursive: true });
  const directory = mkdtempSync(join(root, addonFile, '..', 'objects-'));
  try {
    const names = [...coreSources(root, { addon: false }), `${name}-main.cpp`];
    const objects = names.map((unit) => join(directory, `${unit}.o`));
    const compile = (unit, i) => run(compiler.command, [...commonFlags, ...fileFlags(unit), ...flags, '-c', join(root, sourceDirectory, unit), '-o', objects[i]]);
    const problem = (await allInTurns(names, compile)) ?? (await run(compiler.command, [...objects, ...flags, '-pthread', '-o', join(directory, name)]));
    if (problem !== undefined) return { problem };
    renameSync(join(directory, name), path);
    removeOtherStates(join(path, '..'), name, state);
    return { path };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** With other flags it may be of the same state. Whoever runs an old one keeps it until the end. */
function removeOtherStates(directory, name, state) {
  for (const other of readdirSync(directory)) {
    if (other.startsWith(`${name}-`) && !other.startsWith(state)) rmSync(join(directory, other), { force: true });
  }
}

function shortHash(facts) {
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
}

async function allInTurns(names, compile) {
  let next = 0;
  let problem;
  const work = async () => {
    while (problem === undefined && next < names.length) {
      const i = next++;
      const found = await compile(names[i], i);
      problem ??= found;
    }
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), names.length) }, work));
  return problem;
}

function run(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], timeout: compileTimeoutMs });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text) => (said = (said + text).slice(0, 20_000)));
    child.once('error', (error) => resolve(`${command}: ${error.message}`));
    child.once('close', (code) => resolve(code === 0 ? undefined : firstError(said) ?? `${command} ended with ${code}`));
  });
}

function firstError(said) {
  return said.split('\n').find((line) => line.includes('error'));
}
