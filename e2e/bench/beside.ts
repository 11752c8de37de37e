/** What searches and an import take from each other: each of them alone, then both at once, in turns. */

import type { Dataset } from './dataset.ts';
import { MixedLoad, type MixedFigures } from './mixed-load.ts';
import type { ServerProcess } from './server-process.ts';

const rounds = 3;
const secondsAlone = 6;
const secondsTogether = 12;

export interface BesideFigures {
  readonly rounds: readonly BesideRound[];
}

export interface BesideRound {
  readonly searches: MixedFigures;
  readonly imports: MixedFigures;
  readonly together: MixedFigures;
}

export async function measureBeside(server: ServerProcess, dataset: Dataset): Promise<BesideFigures> {
  const load = new MixedLoad(server, dataset);
  const searches = { searches: true, imports: false };
  const imports = { searches: false, imports: true };
  try {
    await load.run(secondsAlone / 2, searches);
    await load.run(secondsAlone / 2, imports);
    const figures: BesideRound[] = [];
    for (let round = 0; round < rounds; round++) {
      figures.push({
        searches: await load.run(secondsAlone, searches),
        imports: await load.run(secondsAlone, imports),
        together: await load.run(secondsTogether, { searches: true, imports: true }),
      });
    }
    return { rounds: figures };
  } finally {
    load.close();
  }
}
