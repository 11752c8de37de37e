import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { kilobytes } from '../process-usage.ts';
import { parseStat, treeCpuMicros, treeMemory, treeOf } from './process-tree.ts';

const row = (pid: number, parent: number, session = 1): { pid: number; parent: number; session: number; cpuMicros: number } => ({ pid, parent, session, cpuMicros: pid });

test('a line of stat: own time and that of children waited for, whatever the name of the program', () => {
  const stat = '4242 (a) b (c) S 17 4242 99 0 -1 4194304 100 0 0 0 150 50 30 20 20 0 8 0 12345 1000 200';
  assert.deepEqual(parseStat(stat), { pid: 4242, parent: 17, session: 99, cpuMicros: 2_500_000 });
});

test('a tree holds descendants in any order, and orphans of the session that its root leads', () => {
  const rows = [row(30, 20), row(20, 10), row(10, 1), row(40, 1), row(50, 1, 10), row(60, 50, 77)];
  assert.deepEqual(treeOf(10, rows).map(({ pid }) => pid), [30, 20, 10, 50, 60]);
  assert.deepEqual(treeOf(99, rows), []);
});

test('a field of status, and 0 where there is none', () => {
  const status = 'Name:\tx\nVmRSS:\t  1234 kB\nRssAnon:\t 1000 kB\n';
  assert.equal(kilobytes(status, 'VmRSS'), 1_234);
  assert.equal(kilobytes(status, 'VmHWM'), 0);
});

test('time that a grandchild spent and its memory count', async () => {
  const busy = "const until = process.cpuUsage().user + 4e5; while (process.cpuUsage().user < until); console.log('done'); setInterval(() => {}, 1e3)";
  const parent = `const { spawn } = require('node:child_process'); const c = spawn(process.execPath, ['-e', ${JSON.stringify(busy)}], { stdio: 'inherit' }); process.on('SIGTERM', () => { c.kill(); process.exit() })`;
  const child = spawn(process.execPath, ['-e', parent], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(child.stdout, 'data');
    assert.ok(treeCpuMicros(child.pid!) >= 300_000);
    const memory = treeMemory(child.pid!);
    assert.equal(memory.processes, 2);
    assert.ok(memory.anonymousBytes > 0 && memory.residentBytes > memory.anonymousBytes);
  } finally {
    child.kill();
    await once(child, 'close');
  }
});
