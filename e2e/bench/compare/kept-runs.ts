/** The raw figures of each run of each peer, one JSON file each, from which an interrupted comparison goes on. */

import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { systemErrorCode } from '../../../pods/kernel/file-system.ts';
import { writeResults } from '../report.ts';
import type { RunFigures } from './course.ts';

export interface KeptRun {
  readonly peer: string;
  readonly version: string | null;
  /** When the comparison began that measured it. */
  readonly date: string;
  readonly machine: unknown;
  /** Points, queries, breadths: what makes runs comparable. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly loadBefore: number;
  readonly loadAfter: number;
  readonly figures: RunFigures;
}

export class KeptRuns {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async in(directory: string): Promise<KeptRuns> {
    await mkdir(directory, { recursive: true });
    return new KeptRuns(directory);
  }

  async write(number: number, run: KeptRun): Promise<void> {
    await writeResults(this.#path(run.peer, number), run);
  }

  /** Throws an Error that names what differs when the run was measured with other parameters. */
  async read(peer: string, number: number, parameters: KeptRun['parameters']): Promise<KeptRun | undefined> {
    const path = this.#path(peer, number);
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
    const run = JSON.parse(text) as KeptRun;
    for (const name of Object.keys({ ...parameters, ...run.parameters })) {
      const [kept, wanted] = [run.parameters[name], parameters[name]];
      if (!isDeepStrictEqual(kept, wanted)) throw new Error(`${path} has ${name} ${JSON.stringify(kept)}, not ${JSON.stringify(wanted)}`);
    }
    return run;
  }

  #path(peer: string, number: number): string {
    return join(this.directory, `${peer.replaceAll(/[^\w.-]+/g, '_')}-${number}.json`);
  }
}
