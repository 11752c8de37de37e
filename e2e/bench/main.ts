/** `npm run bench -- <name>`: benchmarks of the whole server on real data. They print figures and assert nothing. */

import { runJoinBenchmark } from './cluster/join.ts';
import { runReplicationBenchmark } from './cluster/replication.ts';
import { runRoutedBenchmark } from './cluster/routed.ts';
import { killOwnProcesses } from './compare/child-process.ts';
import { runComparison } from './compare/compare.ts';
import { datasetNames, help, isOneOf, readArguments, type BenchmarkOptions } from './arguments.ts';
import { requireLinux } from './machine.ts';
import { runOverheadBenchmark } from './overhead.ts';
import { runQuantizationBenchmark } from './quantization.ts';
import { say } from './report.ts';
import { killServers } from './server-process.ts';
import { runVectorBenchmark } from './vector-benchmark.ts';
import { runWireBenchmark } from './wire.ts';

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  if (argv[0] === 'compare') return comparison(argv.slice(1));
  let options: BenchmarkOptions | undefined;
  try {
    options = readArguments(argv);
  } catch (error) {
    say((error as Error).message);
    return 2;
  }
  if (options === undefined) {
    process.stdout.write(help);
    return 0;
  }
  endWithServers();
  try {
    requireLinux();
    if (options.name === 'quantization') await runQuantizationBenchmark(options);
    else if (options.name === 'overhead') await runOverheadBenchmark(options);
    else if (options.name === 'wire') await runWireBenchmark();
    else if (options.name === 'routed') await runRoutedBenchmark(options);
    else if (options.name === 'replication') await runReplicationBenchmark(options);
    else if (options.name === 'join') await runJoinBenchmark(options);
    else if (isOneOf(datasetNames, options.name)) await runVectorBenchmark(options.name, options);
    return 0;
  } catch (error) {
    say((error as Error).stack ?? String(error));
    return 1;
  } finally {
    killServers();
  }
}

/** It has flags of its own. */
async function comparison(argv: readonly string[]): Promise<number> {
  endWithServers();
  try {
    requireLinux();
    return await runComparison(argv);
  } catch (error) {
    say((error as Error).stack ?? String(error));
    return 1;
  } finally {
    killServers();
  }
}

function endWithServers(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      killServers();
      killOwnProcesses();
      process.exit(130);
    });
  }
}
