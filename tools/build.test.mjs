// The program as the image has it: compiled, it stores and finds points, its threads and native modules included; the image
// has what it needs and no more; the Dockerfile says what the build says.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { imageConfig, librariesOf, productionPackages } from './build.mjs';
import { addonFile } from './native-core.mjs';
import { serverEnvironment as testedEnvironment, serverFlags as testedFlags } from '../e2e/framework/server-runtime.ts';
import { checkoutRoot, runtimePath, serverEnvironment, serverFlags } from './runtime.mjs';

const buildTimeoutMs = 5 * 60_000;
const answerWithinMs = 60_000;
const key = 'shk_build_0123456789abcdef0123456789abcdef';

test('the Dockerfile starts the image as the build says', () => {
  const lines = readFileSync(join(checkoutRoot, 'Dockerfile'), 'utf8').split('\n');
  const said = (instruction) => lines.filter((line) => line.startsWith(`${instruction} `)).map((line) => line.slice(instruction.length + 1));
  assert.deepEqual(
    { Entrypoint: JSON.parse(said('ENTRYPOINT')[0]), Env: said('ENV'), User: said('USER')[0], WorkingDir: said('WORKDIR').at(-1) },
    imageConfig,
  );
});

test('suites and benchmarks start servers as npm start does', () => {
  assert.deepEqual([testedFlags, testedEnvironment], [serverFlags, serverEnvironment]);
});

test('packages for development are no part of the image, nor is Node as a package', () => {
  const paths = productionPackages(checkoutRoot);
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(checkoutRoot, 'package.json'), 'utf8'));
  for (const name of Object.keys(dependencies)) assert.ok(paths.includes(`node_modules/${name}`), `${name} is missing`);
  for (const name of ['typescript', 'eslint', '@bufbuild/buf', 'dependency-cruiser']) {
    assert.ok(name in devDependencies);
    assert.ok(!paths.includes(`node_modules/${name}`), `${name} is there`);
  }
  assert.deepEqual(paths.filter((path) => /node_modules\/node-(linux|darwin|bin)/.test(path)), []);
});

describe('what npm run build lays out', () => {
  let output;
  before(() => {
    output = mkdtempSync(join(tmpdir(), 'shoal-build-'));
    const { status, stderr, stdout } = spawnSync(process.execPath, [join(checkoutRoot, 'launcher.mjs'), 'build', '--output', output], { encoding: 'utf8', timeout: buildTimeoutMs });
    assert.equal(status, 0, `${stdout}${stderr}`);
  });
  after(() => rmSync(output, { recursive: true, force: true }));

  test('is readable by everybody, and has neither sources nor the parts of other platforms', () => {
    const found = { unreadable: [], sources: [], native: [] };
    for (const entry of readdirSync(output, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isSymbolicLink()) continue;
      const { mode } = statSync(path);
      if ((mode & 0o444) !== 0o444 || (entry.isDirectory() && (mode & 0o111) !== 0o111)) found.unreadable.push(path);
      if (/\.ts$|\.test\.js$|\.fixture\.js$/.test(entry.name)) found.sources.push(path);
      if (entry.name.endsWith('.node')) found.native.push(entry.name);
    }
    assert.deepEqual({ unreadable: found.unreadable, sources: found.sources }, { unreadable: [], sources: [] });
    assert.equal(found.native.length, 4, found.native.join(', '));
    for (const library of librariesOf([join(output, 'program/app', addonFile)])) assert.ok(existsSync(join(output, 'base', library)), `${library} is not in the base`);
    for (const file of ['proto/gen/descriptors.binpb', 'crds/vectorshards.yaml', 'pods/index/hnswlib-worker.js', 'pods/gateway/json-worker.js']) assert.ok(existsSync(join(output, 'program/app', file)), file);
    assert.equal(JSON.parse(readFileSync(join(output, 'image.json'), 'utf8')).User, '65532:65532');
  });

  test('stores and finds points', { timeout: 3 * answerWithinMs }, async () => {
    // The two layers lie on each other in the image; here the packages are found beside the program.
    const app = join(output, 'program', 'app');
    symlinkSync(join(output, 'base', 'app', 'node_modules'), join(app, 'node_modules'));
    const args = [join(app, 'shoal.js'), 'standalone', '--http-port', '0', '--grpc-port', '0', '--data-dir', join(output, 'data')];
    const child = spawn(runtimePath(checkoutRoot), args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, SHOAL_API_KEYS: key } });
    let printed = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (printed += text));
    const ended = new Promise((resolve) => child.once('close', resolve));
    try {
      const base = await addressOf(() => printed);
      const send = async (path, body) => {
        const answer = await fetch(`${base}${path}`, { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, body: JSON.stringify(body), signal: AbortSignal.timeout(answerWithinMs) });
        const text = await answer.text();
        assert.ok(answer.ok, `${path}: ${answer.status} ${text}`);
        return JSON.parse(text);
      };
      await send('/v1/collections', { name: 'demo', dimension: 3, distance: 'cosine' });
      await send('/v1/collections/demo/points', { points: [{ id: 'a', vector: [1, 0, 0] }, { id: 'b', vector: [0, 1, 0] }] });
      const { results } = await send('/v1/collections/demo/points/search', { vector: [0.9, 0.1, 0], topK: 1 });
      assert.deepEqual(results.map(({ id }) => id), ['a']);
    } catch (error) {
      throw new Error(`${error.message}\nit printed:\n${printed}`, { cause: error });
    } finally {
      child.kill('SIGTERM');
      await ended;
    }
  });
});

async function addressOf(printed) {
  const untilMs = Date.now() + answerWithinMs;
  while (Date.now() < untilMs) {
    const [, address] = /(http:\/\/127\.0\.0\.1:\d+)/.exec(printed()) ?? [];
    if (address !== undefined) return address;
    await sleep(50);
  }
  throw new Error(`no address within ${answerWithinMs / 1000} s`);
}
