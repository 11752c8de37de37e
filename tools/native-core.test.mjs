// When the vector core is compiled, when what is there is taken, and that a failure is told and not repeated.

import assert from 'node:assert/strict';
import { appendFileSync, chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';

import { addonFile, buildCoreProgram, coreSources, ensureNativeCore, fallbackMessage, isCoreFresh } from './native-core.mjs';
import { checkoutRoot } from './runtime.mjs';

let root;
let said;
const report = (line) => said.push(line);
const callsFile = () => join(root, 'calls');
const calls = () => (existsSync(callsFile()) ? readFileSync(callsFile(), 'utf8').trim().split('\n').length : 0);

/** A compiler that writes down that it was called, and makes what it was asked for, or says an error. */
function compiler(problem) {
  const command = join(root, 'compiler');
  const end = problem === undefined ? 'while [ "$1" != "-o" ]; do shift; done; echo code > "$2"' : `echo "error: ${problem}" >&2; exit 1`;
  writeFileSync(command, `#!/bin/sh\necho called >> "${callsFile()}"\n${end}\n`);
  chmodSync(command, 0o755);
  return { command, version: `sample ${problem ?? ''}` };
}

beforeEach(() => {
  said = [];
  root = mkdtempSync(join(tmpdir(), 'shoal-core-'));
  mkdirSync(join(root, 'pods/native/core'), { recursive: true });
  for (const name of ['a.cpp', 'b.cpp', 'b.h', 'addon.cpp', 'stress-main.cpp']) writeFileSync(join(root, 'pods/native/core', name), '');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test('it is built once for each state of its sources', async () => {
  const options = { report, compiler: compiler() };
  assert.equal(isCoreFresh(root), false);
  assert.equal(await ensureNativeCore(root, options), 'built');
  // Three translation units, and the linking.
  assert.equal(calls(), 4);
  assert.equal(isCoreFresh(root), true);
  assert.equal(await ensureNativeCore(root, options), 'present');
  assert.equal(calls(), 4);
  appendFileSync(join(root, 'pods/native/core/b.h'), '// changed');
  assert.equal(isCoreFresh(root), false);
  assert.equal(await ensureNativeCore(root, options), 'built');
  assert.equal(calls(), 8);
  rmSync(join(root, addonFile));
  assert.equal(await ensureNativeCore(root, options), 'built');
});

test('a failure says what was lost at each start, and is tried again only with another compiler or other sources', async () => {
  const broken = compiler('no such header');
  assert.equal(await ensureNativeCore(root, { report, compiler: broken }), 'failed');
  const before = calls();
  said = [];
  assert.equal(await ensureNativeCore(root, { report, compiler: broken }), 'failed');
  assert.equal(calls(), before);
  assert.equal(said.length, 1);
  assert.ok(said[0].includes(fallbackMessage) && said[0].includes('no such header'), said[0]);
  assert.equal(await ensureNativeCore(root, { report, compiler: compiler() }), 'built');
});

test('a record that was cut off is no record', async () => {
  const options = { report, compiler: compiler() };
  await ensureNativeCore(root, options);
  writeFileSync(join(root, 'pods/native/build/core.json'), '{"sour');
  assert.equal(await ensureNativeCore(root, options), 'built');
});

test('a program for tests is built once for each state of the sources, and those of other states go', async () => {
  const made = () => readdirSync(join(root, 'pods/native/build')).sort();
  const build = async (flags) => basename((await buildCoreProgram(root, 'stress', flags, compiler())).path);
  const thread = await build(['-fsanitize=thread']);
  const address = await build(['-fsanitize=address']);
  assert.deepEqual(made(), [thread, address].sort());
  const before = calls();
  assert.equal(await build(['-fsanitize=thread']), thread);
  assert.equal(calls(), before);

  appendFileSync(join(root, 'pods/native/core/b.h'), '// changed');
  writeFileSync(join(root, 'pods/native/build/core.node'), 'stays');
  const changed = await build(['-fsanitize=thread']);
  assert.notEqual(changed, thread);
  assert.deepEqual(made(), ['core.node', changed].sort());
});

test('the programs for tests are no part of the addon', () => {
  assert.deepEqual(coreSources(root, { addon: true }), ['a.cpp', 'addon.cpp', 'b.cpp']);
  assert.deepEqual(coreSources(root, { addon: false }), ['a.cpp', 'b.cpp']);
  assert.ok(coreSources(checkoutRoot, { addon: true }).includes('addon.cpp'));
});
