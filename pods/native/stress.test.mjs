// Everything at once, judged against a model (core/stress-main.cpp): under ThreadSanitizer, which tells of every race that it
// sees, and under AddressSanitizer, which tells of every byte read or written out of place.
// SHOAL_SEED chooses other runs; SHOAL_STRESS_STEPS longer ones.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { buildCoreProgram, findCompiler } from '../../tools/native-core.mjs';
import { checkoutRoot } from '../../tools/runtime.mjs';

const seed = Number(process.env.SHOAL_SEED ?? 3);
const steps = Number(process.env.SHOAL_STRESS_STEPS ?? 1_000);
const runs = [
  ['float', 'euclidean'],
  ['float', 'cosine'],
  ['float', 'dot'],
  ['int8', 'cosine'],
];

/** Whether this compiler has the sanitizer and its library, told by the smallest of programs. */
function canSanitize(flag) {
  const directory = mkdtempSync(join(tmpdir(), 'shoal-sanitizer-'));
  try {
    writeFileSync(join(directory, 'a.cpp'), 'int main() {}\n');
    const compiler = findCompiler();
    if (compiler === undefined) return false;
    const built = spawnSync(compiler.command, [flag, join(directory, 'a.cpp'), '-o', join(directory, 'a')]);
    return built.status === 0 && spawnSync(join(directory, 'a')).status === 0;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

for (const sanitizer of ['thread', 'address,undefined']) {
  const flag = `-fsanitize=${sanitizer}`;
  const skip = canSanitize(flag) ? false : `NOT CHECKED: THIS COMPILER HAS NO ${flag}`;
  if (skip) process.stderr.write(`\n*** ${skip} ***\n\n`);
  describe(`the core under ${flag} (seed ${seed}, ${steps} steps)`, { skip }, () => {
    for (const [storage, metric] of runs) {
      test(`${storage}, ${metric}`, async () => {
        const flags = [flag, '-O1', '-g', '-fno-omit-frame-pointer', ...(sanitizer === 'thread' ? [] : ['-fno-sanitize-recover=undefined', '-fno-sanitize=alignment'])];
        const { path, problem } = await buildCoreProgram(checkoutRoot, 'stress', flags);
        assert.ok(path !== undefined, problem);
        const directory = mkdtempSync(join(tmpdir(), 'shoal-stress-'));
        try {
          const { status, signal, stdout, stderr } = spawnSync(path, [String(seed), String(steps), directory, storage, metric], { encoding: 'utf8' });
          assert.deepEqual({ status, signal }, { status: 0, signal: null }, `${stdout}\n${stderr}`);
          assert.doesNotMatch(stderr, /WARNING|ERROR|runtime error/);
        } finally {
          rmSync(directory, { recursive: true, force: true });
        }
      });
    }
  });
}
