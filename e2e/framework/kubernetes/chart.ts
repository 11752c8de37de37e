/** The chart as helm renders it: what an installation brings along comes from there alone, for suites as for users. */

import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { loadAll } from 'js-yaml';
import { timeoutsMs } from '../timeouts.ts';
import type { Manifest } from './apply.ts';
import { kubernetesProgram } from './binaries.ts';

export const chartDirectory = join(import.meta.dirname, '..', '..', '..', 'charts', 'shoal');

/** Helm's own idea of it is that of the library it was built with. */
const kubeVersion = 'v1.34.4';

export interface RenderOptions {
  readonly namespace?: string;
  /** As a values file would say it. */
  readonly values?: object;
  /** Files of values, before those. */
  readonly valueFiles?: readonly string[];
}

/** Every object, CRDs first, hooks too. Throws what helm says when it refuses. */
export async function renderChart(options: RenderOptions = {}): Promise<readonly Manifest[]> {
  const objects = loadAll(await renderedText(options)) as readonly (Manifest | null)[];
  return objects.filter((object) => object !== null);
}

export function renderedText({ namespace = 'default', values = {}, valueFiles = [] }: RenderOptions = {}): Promise<string> {
  return helmWithValues(values, (file) => {
    const files = [...valueFiles, file].flatMap((path) => ['--values', path]);
    return ['template', 'shoal', chartDirectory, '--namespace', namespace, '--kube-version', kubeVersion, '--include-crds', ...files];
  });
}

export function lintChart(values: object = {}): Promise<string> {
  return helmWithValues(values, (file) => ['lint', chartDirectory, '--strict', '--kube-version', kubeVersion, '--values', file]);
}

async function helmWithValues(values: object, args: (file: string) => readonly string[]): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-chart-'));
  try {
    const file = join(directory, 'values.json');
    await writeFile(file, JSON.stringify(values));
    return await helm(args(file));
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** What helm prints; an error with what it printed when it fails. */
export async function helm(args: readonly string[], { environment = {}, timeoutMs = timeoutsMs.command }: { readonly environment?: Readonly<Record<string, string>>; readonly timeoutMs?: number } = {}): Promise<string> {
  const program = await kubernetesProgram('helm');
  try {
    const { stdout } = await promisify(execFile)(program, [...args], { env: { ...process.env, ...environment }, timeout: timeoutMs, maxBuffer: 16 * 1024 * 1024 });
    return stdout;
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as { stdout?: string; stderr?: string; message: string };
    const said = `${stdout}${stderr}`.split('\n').filter((line) => !line.includes('found symbolic link')).join('\n').trim();
    throw new Error(`helm ${args[0]}: ${said === '' ? message : said}`, { cause: error });
  }
}
