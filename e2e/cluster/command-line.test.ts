/** The command lines of the test cluster and of its suites: help, wrong usage and missing clusters end as they say, and change nothing. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const run = (program: 'main.ts' | 'run-suites.ts', args: readonly string[], env: NodeJS.ProcessEnv = {}): { status: number | null; stdout: string; stderr: string } =>
  spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, program), ...args], { encoding: 'utf8', env: { ...process.env, ...env }, timeout: 60_000 });

/** No cluster has it: it is no name of a cluster that anybody would make. */
const nowhere = 'never-made-by-anyone';

const cases: readonly [program: 'main.ts' | 'run-suites.ts', args: readonly string[], status: number, says: RegExp][] = [
  ['main.ts', ['--help'], 0, /^usage: npm run cluster/],
  ['main.ts', ['up', '--help'], 0, /^usage: npm run cluster/],
  ['main.ts', [], 2, /^which command\?/],
  ['main.ts', ['fly'], 2, /^no such command: fly/],
  ['main.ts', ['up', 'now'], 2, /^unexpected: now/],
  ['main.ts', ['status', '--name', 'A'], 2, /^--name A: /],
  ['main.ts', ['status', '--output', 'xml'], 2, /^--output xml: /],
  ['main.ts', ['load', '--tag', 'a b'], 2, /^--tag a b: /],
  ['main.ts', ['up', '--fast'], 2, /--fast/],
  ['main.ts', ['status', '--name', nowhere], 3, new RegExp(`^there is no cluster ${nowhere}`)],
  ['main.ts', ['status', '--name', nowhere, '--output', 'json'], 3, new RegExp(`^\\{"name":"${nowhere}","state":"absent"\\}`)],
  ['main.ts', ['down', '--name', nowhere], 0, new RegExp(`there is no cluster ${nowhere}`)],
  ['main.ts', ['--name', nowhere, 'kubectl', 'get', 'pods', '--output', 'wide'], 1, new RegExp(`there is no cluster ${nowhere}; npm run cluster -- up makes it`)],
  ['run-suites.ts', ['--help'], 0, /^usage: npm run e2e/],
  ['run-suites.ts', ['--list', '--label', 'smoke'], 0, /^smoke +core, smoke$/m],
  ['run-suites.ts', ['--label', 'nothing'], 2, /^no suite carries the label nothing; there are /],
  ['run-suites.ts', ['nothing'], 2, /^there is no suite nothing; there are /],
];

for (const [program, args, expected, says] of cases) {
  test(`${program} ${args.join(' ')}`, () => {
    const { status, stdout, stderr } = run(program, args);
    assert.equal(status, expected, stderr);
    assert.match(stdout + stderr, says);
  });
}

test('who is not root is told so before anything is made', { skip: process.getuid?.() !== 0 && 'only root can become somebody else' }, () => {
  const program = [process.execPath, '--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'main.ts'), 'up', '--name', nowhere];
  const { status, stderr } = spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all', ...program], { encoding: 'utf8', timeout: 60_000 });
  assert.equal(status, 1, stderr);
  assert.match(stderr, /run this as root, or set KUBECONFIG/);
});

test('what is missing on a machine without apt-get is said with the packages it is in', () => {
  const { status, stderr } = run('main.ts', ['up', '--name', nowhere], { PATH: '/nowhere' });
  // Not root: that is said first.
  assert.equal(status, 1, stderr);
  if (process.getuid?.() === 0) assert.match(stderr, /missing: containerd, .*; install them \(on Debian they are in containerd /);
});
