/** How every server of the program begins and fails: the same options, messages and exit codes whatever it serves. */

import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { systemClock } from './clock.ts';
import { asShoalError } from './errors.ts';
import { processLogger, type Logger, type LogLevel } from './logger.ts';
import { optionsHelp, wantsHelp, type ConfigSources, type OptionTable } from './options.ts';
import { createShutdown, exitOnSignals, type Shutdown } from './shutdown.ts';

export interface ServerProcess<Config> {
  readonly config: Config;
  readonly logger: Logger;
  /** Begun by SIGTERM and SIGINT. */
  readonly shutdown: Shutdown;
}

/** So much garbage may gather, of what lives, before the old generation is collected: docs/adr/0021. */
const heapGrowingPercent = 40;

/** Prints the help, or what is wrong with the options, and resolves to the exit code (0, 2); else to what a server starts with. */
export function beginServer<Config extends { readonly logLevel: LogLevel }>(
  command: string,
  argv: readonly string[],
  options: OptionTable,
  read: (sources: ConfigSources) => Config,
): ServerProcess<Config> | number {
  if (wantsHelp(argv)) {
    process.stdout.write(optionsHelp(command, options));
    return 0;
  }
  let config: Config;
  try {
    config = read({ argv, environment: process.env, readFile: (path) => readFileSync(path, 'utf8') });
  } catch (error) {
    process.stderr.write(`${command}: ${asShoalError(error).message}\n`);
    return 2;
  }
  setFlagsFromString(`--heap-growing-percent=${heapGrowingPercent}`);
  // V8 would make objects in the old generation whose like have survived there before: dead ones that keep whole requests.
  setFlagsFromString('--no-allocation-site-pretenuring');
  const logger = processLogger(config.logLevel);
  const shutdown = createShutdown(systemClock, logger);
  exitOnSignals(process, shutdown, systemClock);
  return { config, logger, shutdown };
}

/** Says why it did not start, and ends the process with exit code 1. */
export async function startFailed(command: string, error: unknown, { logger, shutdown }: Pick<ServerProcess<unknown>, 'logger' | 'shutdown'>): Promise<never> {
  const { code, message } = asShoalError(error);
  process.stderr.write(`${command}: ${code}: ${message}\n`);
  if (code === 'INTERNAL') logger.error({ error: (error as { cause?: unknown }).cause ?? error }, 'start failed');
  await shutdown.begin('start failed');
  process.exit(1);
}
