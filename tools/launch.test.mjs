// What the launcher hands on: files to the test runner, signals and exit codes between processes, and the first word to
// the program.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { differingFiles } from './check.mjs';
import { checkoutRoot } from './runtime.mjs';
import { testFiles } from './test.mjs';

let root;
before(() => {
  root = mkdtempSync(join(tmpdir(), 'shoal-launch-'));
  for (const file of ['pods/log/log.test.ts', 'pods/log/log.ts', 'pods/log/fixtures/old.test.ts', 'e2e/crash/kill.test.ts', 'e2e/gen/old.test.ts', 'tools/a.test.mjs', 'shoal.test.ts']) {
    mkdirSync(join(root, dirname(file)), { recursive: true });
    writeFileSync(join(root, file), '');
  }
});
after(() => rmSync(root, { recursive: true, force: true }));

describe('the test files', () => {
  const cases = [
    { paths: [], files: ['tools/a.test.mjs', 'pods/log/log.test.ts', 'e2e/crash/kill.test.ts', 'shoal.test.ts'] },
    { paths: ['pods/log'], files: ['pods/log/log.test.ts'] },
    { paths: ['pods/log/log.test.ts', 'e2e'], files: ['pods/log/log.test.ts', 'e2e/crash/kill.test.ts'] },
  ];
  for (const { paths, files } of cases) {
    test(`of ${paths.join(' ') || 'everything'}`, () => assert.deepEqual(testFiles(root, paths), files));
  }
  test('of what does not exist are an error, not an empty run', () => assert.throws(() => testFiles(root, ['pods/nowhere']), /no such file/));
});

test('generated files that are missing, extra or different are named', () => {
  for (const [file, content] of [['left/same', '1'], ['right/same', '1'], ['left/other', '1'], ['right/other', '2'], ['left/a/gone', ''], ['right/a/new', '']]) {
    mkdirSync(join(root, dirname(file)), { recursive: true });
    writeFileSync(join(root, file), content);
  }
  assert.deepEqual(differingFiles(join(root, 'left'), join(root, 'right')), ['a/gone', 'a/new', 'other']);
});

describe('a program run in our place', () => {
  const wrapper = `import { runInPlace } from '${checkoutRoot}/tools/child.mjs'; process.exitCode = await runInPlace(process.execPath, ['-e', process.argv[1]]);`;
  const run = (program) => spawn(process.execPath, ['--input-type=module', '--eval', wrapper, program], { stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000, killSignal: 'SIGKILL' });
  const end = (child) => new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));

  test('gives its exit code', async () => assert.deepEqual(await end(run('process.exit(7)')), { code: 7, signal: null }));
  test('gives the signal that ended it', async () => assert.deepEqual(await end(run("process.kill(process.pid, 'SIGKILL')")), { code: null, signal: 'SIGKILL' }));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    test(`gets ${signal}`, async () => {
      const child = run(`process.on('${signal}', () => process.exit(42)); setTimeout(() => {}, 15_000); console.log('ready');`);
      await new Promise((resolve) => child.stdout.once('data', resolve));
      child.kill(signal);
      assert.deepEqual(await end(child), { code: 42, signal: null });
    });
  }
});

describe('the program', () => {
  const shoal = (...args) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', 'shoal.ts', ...args], { cwd: checkoutRoot, encoding: 'utf8' });
    return { status, stdout, stderr };
  };
  const { version } = JSON.parse(readFileSync(join(checkoutRoot, 'package.json'), 'utf8'));

  test('says its version', () => assert.deepEqual(shoal('--version'), { status: 0, stdout: `${version}\n`, stderr: '' }));
  test('says what it can do', () => {
    const { status, stdout, stderr } = shoal('--help');
    assert.deepEqual([status, stdout.split('\n')[0], stderr], [0, 'Usage: shoal [options] [command]', '']);
  });
  test('without a command fails, and says what it can do', () => {
    const { status, stdout, stderr } = shoal();
    assert.deepEqual([status, stdout, stderr.split('\n')[0]], [2, '', 'Usage: shoal [options] [command]']);
  });
});

test('an unknown verb is refused with the list of verbs', () => {
  const { status, stderr } = spawnSync(process.execPath, ['launcher.mjs', 'constructor'], { cwd: checkoutRoot, encoding: 'utf8' });
  assert.deepEqual([status, stderr.split('\n')[0]], [2, 'usage: node launcher.mjs <verb> [arguments]']);
});
