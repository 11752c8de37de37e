// Starts the server as a newcomer would, `npm start`, on free ports and an empty directory: it answers, and ends when told
// to; then once more on the same directory. Run by .ci/run.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { checkoutRoot } from './runtime.mjs';

const answerWithinMs = 60_000;
const endWithinMs = 30_000;

const directory = mkdtempSync(join(tmpdir(), 'shoal-smoke-'));
const counts = { passed: 0, failed: 0 };
try {
  for (const name of ['first start', 'second start']) {
    try {
      await startAndStop(name);
      counts.passed += 1;
    } catch (error) {
      process.stdout.write(`${name}: ${error.message}\n`);
      counts.failed += 1;
    }
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
process.stdout.write(`smoke: ${counts.passed} passed, ${counts.failed} failed\n`);
process.exitCode = counts.failed === 0 ? 0 : 1;

async function startAndStop(name) {
  const [httpPort, grpcPort] = [await freePort(), await freePort()];
  const args = ['start', '--', '--http-port', httpPort, '--grpc-port', grpcPort, '--data-dir', join(directory, 'data')].map(String);
  const startedMs = Date.now();
  // A group of its own: whatever goes wrong, nothing of it stays behind.
  const child = spawn('npm', args, { cwd: checkoutRoot, detached: true, stdio: ['ignore', 'inherit', 'inherit'] });
  const ended = new Promise((resolve) => {
    child.once('error', (error) => resolve(`cannot run npm: ${error.message}`));
    child.once('close', (code, signal) => resolve(code === 0 ? undefined : `ended with ${signal ?? `exit code ${code}`}`));
  });
  try {
    await Promise.race([answers(`http://127.0.0.1:${httpPort}/health`), ended.then((problem) => fail(problem ?? 'ended by itself'))]);
    process.stdout.write(`${name}: /health answers after ${Date.now() - startedMs} ms\n`);
    child.kill('SIGTERM');
    const problem = await Promise.race([ended, sleep(endWithinMs, `still running ${endWithinMs / 1000} s after SIGTERM`, { ref: false })]);
    if (problem !== undefined) fail(problem);
  } finally {
    killGroup(child.pid);
  }
}

function fail(message) {
  throw new Error(message);
}

async function answers(url) {
  const untilMs = Date.now() + answerWithinMs;
  while (Date.now() < untilMs) {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
    if (response?.status === 200) return;
    await sleep(50);
  }
  fail(`${url} does not answer 200 within ${answerWithinMs / 1000} s`);
}

function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing of it is left.
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
