/** Which implementation makes the graphs of a process: the one that the option names, where it is there. */

import type { Logger } from '../kernel/logger.ts';
import { loadNativeCore } from '../native/native-core.ts';
import { hnswlibIndexFactory } from './hnswlib-index.ts';
import { nativeIndexFactory } from './native-index.ts';
import type { VectorIndexFactory } from './vector-index.ts';

export type IndexImplementation = 'native' | 'hnswlib';

export interface GraphOptions {
  readonly indexImplementation: IndexImplementation;
  /** Threads of the native core; 0 is one per processor that the process may use. */
  readonly indexThreads: number;
  /** Quantised graphs keep their exact vectors under it. */
  readonly dataDirectory: string;
}

export function graphFactoryOf({ indexImplementation, indexThreads, dataDirectory }: GraphOptions, logger: Logger): VectorIndexFactory {
  if (indexImplementation === 'hnswlib') return hnswlibIndexFactory;
  const core = loadNativeCore();
  if (core instanceof Error) {
    logger.warn({ error: core }, 'the native vector core cannot be loaded; hnswlib-node serves instead: vectors are in memory twice, searches and imports take more processor time');
    return hnswlibIndexFactory;
  }
  core.setThreads(indexThreads);
  return nativeIndexFactory(core, dataDirectory);
}
