// The verbs `check` and `generate`.

import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';

import { runInPlace } from './child.mjs';
import { runtimeEnvironment } from './runtime.mjs';

const generatedDirectory = 'proto/gen';
const descriptorFile = 'descriptors.binpb';

const checks = [
  { name: 'types', run: (root) => tool(root, 'tsc', ['--noEmit']) },
  { name: 'lint', run: (root) => tool(root, 'eslint', ['--max-warnings=0', '.']) },
  { name: 'imports', run: (root) => tool(root, 'depcruise', ['--config', '.dependency-cruiser.cjs', ...sources(root)]) },
  { name: 'proto', run: (root) => tool(root, 'buf', ['lint']) },
  { name: 'generated', run: checkGenerated },
];

/** Runs every check, or those named, even after one failed: one run shows all there is to mend. */
export async function runCheck(root, args) {
  const unknown = args.filter((name) => !checks.some((check) => check.name === name));
  if (unknown.length > 0) {
    process.stderr.write(`no such check: ${unknown.join(', ')}; there are ${checks.map((check) => check.name).join(', ')}\n`);
    return 2;
  }
  const chosen = args.length === 0 ? checks : checks.filter((check) => args.includes(check.name));
  const failed = [];
  for (const check of chosen) {
    const startedMs = Date.now();
    const code = await check.run(root);
    const seconds = ((Date.now() - startedMs) / 1000).toFixed(1);
    process.stdout.write(`${code === 0 ? 'ok    ' : 'FAILED'} ${check.name} (${seconds} s)\n`);
    if (code !== 0) failed.push(check.name);
  }
  process.stdout.write(`check: ${chosen.length - failed.length} passed, ${failed.length} failed\n`);
  return failed.length === 0 ? 0 : 1;
}

/** Replaces proto/gen as a whole, once everything is generated: a file of a removed .proto goes too. */
export async function runGenerate(root) {
  for (const [file, content] of await filesOfCrds(root)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), content);
  }
  const fresh = mkdtempSync(join(root, 'proto', '.gen-'));
  try {
    const code = await generate(root, fresh);
    if (code !== 0) return code;
    rmSync(join(root, generatedDirectory), { recursive: true, force: true });
    chmodSync(fresh, 0o755);
    renameSync(fresh, join(root, generatedDirectory));
    return 0;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** Loaded when it is needed: its YAML parser is not there before the project is installed. */
async function filesOfCrds(root) {
  return (await import('./crds.mjs')).generatedFromCrds(root);
}

/** TypeScript for grpc-js, and the descriptors that server reflection answers from. */
async function generate(root, directory) {
  const code = await tool(root, 'buf', ['generate', '--output', directory]);
  return code === 0 ? tool(root, 'buf', ['build', '--as-file-descriptor-set', '--output', join(directory, descriptorFile)]) : code;
}

async function checkGenerated(root) {
  const directory = mkdtempSync(join(tmpdir(), 'shoal-generated-'));
  try {
    const code = await generate(root, directory);
    if (code !== 0) return code;
    const differing = differingFiles(join(root, generatedDirectory), directory);
    for (const file of differing) process.stdout.write(`${generatedDirectory}/${file} is not what the .proto files give; run npm run generate\n`);
    const stale = [...(await filesOfCrds(root))].filter(([file, content]) => !existsSync(join(root, file)) || readFileSync(join(root, file), 'utf8') !== content);
    for (const [file] of stale) process.stdout.write(`${file} is not what the files in crds/ give; run npm run generate\n`);
    return differing.length + stale.length === 0 ? 0 : 1;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Files that are in one directory only, or with another content. */
export function differingFiles(left, right) {
  const names = new Set([...filesUnder(left), ...filesUnder(right)]);
  const same = (name) => existsSync(join(left, name)) && existsSync(join(right, name)) && readFileSync(join(left, name)).equals(readFileSync(join(right, name)));
  return [...names].filter((name) => !same(name)).sort();
}

function filesUnder(directory) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath ?? entry.path, entry.name)));
}

const sources = (root) => ['shoal.ts', 'pods', 'operator', 'e2e', 'proto', 'crds'].filter((path) => existsSync(join(root, path)));

function tool(root, name, args) {
  return runInPlace(join(root, 'node_modules', '.bin', name), args, { cwd: root, env: runtimeEnvironment(root) });
}
