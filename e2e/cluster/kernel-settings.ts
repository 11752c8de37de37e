/** Kubelets change settings of the whole machine; what they were before the first cluster is kept, and put back after the last. */

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { clustersDirectory } from './description.ts';
import { clusterNames } from './state.ts';

const names = ['vm/overcommit_memory', 'vm/panic_on_oom', 'kernel/panic', 'kernel/panic_on_oops', 'kernel/keys/root_maxkeys', 'kernel/keys/root_maxbytes'];
const file = join(clustersDirectory, '.kernel-settings.json');

export function keepKernelSettings(): void {
  if (existsSync(file)) return;
  const settings = names.filter((name) => existsSync(`/proc/sys/${name}`)).map((name) => [name, readFileSync(`/proc/sys/${name}`, 'utf8').trim()]);
  writeFileSync(file, JSON.stringify(Object.fromEntries(settings)));
}

export function restoreKernelSettings(): void {
  if (!existsSync(file) || clusterNames().length > 0) return;
  const settings = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
  for (const [name, value] of Object.entries(settings)) {
    // After a restart of the machine the file is old, and what it says is what the machine began with all the same.
    if (readFileSync(`/proc/sys/${name}`, 'utf8').trim() !== value) writeFileSync(`/proc/sys/${name}`, value);
  }
  rmSync(file, { force: true });
}
