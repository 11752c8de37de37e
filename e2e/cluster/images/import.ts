/** Brings an archive into the containerd of nodes, unless the node has this very archive under this name already. */

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../command.ts';
import type { ClusterNode } from '../description.ts';

const importTimeoutMs = 5 * 60_000;

/** Whether it had to. */
export async function importImage(node: ClusterNode, archive: string, reference: string): Promise<boolean> {
  const record = join(node.directory, `image-${createHash('sha256').update(reference).digest('hex').slice(0, 12)}`);
  // Archives lie under names made of what is in them.
  const { size, mtimeMs } = statSync(archive);
  const identity = `${reference} ${archive} ${size} ${mtimeMs}`;
  if (existsSync(record) && readFileSync(record, 'utf8') === identity) return false;
  await ctr(node, ['images', 'import', archive], importTimeoutMs);
  writeFileSync(record, identity);
  return true;
}

export function ctr(node: ClusterNode, args: readonly string[], timeoutMs?: number): Promise<string> {
  return run('ctr', ['-a', node.containerdSocket, '-n', 'k8s.io', ...args], { ...(timeoutMs !== undefined && { timeoutMs }) });
}
