/**
 * What clients of a run sent and were told, as files: for each life of the collection
 *
 *     seed-7-1.jsonl           as the program in e2e/checker/porcupine reads it
 *     seed-7-1.verdict.json    what our own checker says of it: ids that are not linearizable, or undecided
 */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkRegister } from '../checker/linearizability.ts';
import { porcupineLines } from '../checker/porcupine-file.ts';
import type { RunReport } from './cluster/cluster-run.ts';

export interface OwnVerdict {
  readonly ids: number;
  readonly illegal: readonly string[];
  readonly undecided: readonly string[];
}

export async function writeHistories(directory: string, { seed, histories }: RunReport): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const [i, history] of histories.entries()) {
    const path = join(directory, `seed-${seed}-${i + 1}`);
    const verdicts = history.ids.map((id) => ({ id, verdict: checkRegister(history.operationsOf(id)).kind }));
    const idsOf = (kind: string): string[] => verdicts.filter(({ verdict }) => verdict === kind).map(({ id }) => id).sort();
    const verdict: OwnVerdict = { ids: verdicts.length, illegal: idsOf('violation'), undecided: idsOf('undecided') };
    await writeFile(`${path}.jsonl`, porcupineLines(history.operations));
    await writeFile(`${path}.verdict.json`, `${JSON.stringify(verdict)}\n`);
  }
}
