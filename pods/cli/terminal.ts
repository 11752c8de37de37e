/** What a command has around it: streams, environment, clock, and the signal by which the user stops it. */

import type { Readable } from 'node:stream';
import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';

export interface Terminal {
  readonly stdin: Readable;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  /** Whether a person reads standard error at this moment, so that a bar may be drawn. */
  readonly interactive: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
  /** Aborts with an InterruptedError. */
  readonly signal: AbortSignal;
}

export type OutputFormat = 'json' | 'table';

/** The options that every command takes. */
export interface GlobalOptions {
  readonly address: string;
  readonly apiKey?: string;
  readonly apiKeyFile?: string;
  readonly tls?: boolean;
  readonly ca?: string;
  readonly insecureSkipVerify?: boolean;
  /** Seconds; absent: the default of each command. */
  readonly timeout?: number;
  readonly output: OutputFormat;
  readonly quiet?: boolean;
}

/** What an action gets. */
export interface CommandContext {
  readonly terminal: Terminal;
  readonly options: GlobalOptions;
}
