/** While 16 clients search and one imports: how long a callback keeps the server's event loop, and what searches feel. */

import type { Dataset } from './dataset.ts';
import { MixedLoad, type MixedFigures } from './mixed-load.ts';
import type { LoopReport } from './probe-messages.ts';
import { askProbe, profiled } from './profiling.ts';
import type { ServerProcess } from './server-process.ts';

const both = { searches: true, imports: true };

export interface LoopFigures extends MixedFigures {
  readonly seconds: number;
  readonly loop: LoopReport;
}

/** The server was started with the probe. Then once more under a profiler, which slows it, to name the culprits. */
export async function measureEventLoop(server: ServerProcess, dataset: Dataset, seconds: number, profilePath: string | undefined): Promise<LoopFigures> {
  const load = new MixedLoad(server, dataset);
  await load.run(2, both);
  await askProbe(server, 'reset');
  const figures = await load.run(seconds, both);
  const { report } = await askProbe(server, 'report');
  if (profilePath !== undefined) await profiled(server, '16 clients search, one imports', profilePath, () => load.run(Math.min(seconds, 10), both));
  load.close();
  return { seconds, loop: report!, ...figures };
}
