/** The command line of the simulation. */

import { parseArgs } from 'node:util';
import { logLevels, type LogLevel } from '../../pods/kernel/logger.ts';
import { faultKinds, type FaultKind } from './cluster/faults/fault-table.ts';
import { mutationNames, type MutationName } from '../../pods/kernel/mutations.ts';

const outputFormats = ['table', 'json'] as const;
type OutputFormat = (typeof outputFormats)[number];
/** Within so many seeds each mutation has to be caught. Of one that every fifth seed catches, one commit in 7,500 would miss it by chance. */
const huntSeedCountMax = 40;

export interface SimulationOptions {
  readonly seed: number;
  readonly minutes: number;
  readonly seedCountMax: number;
  readonly isTracing: boolean;
  readonly mutation: MutationName | undefined;
  readonly isHuntingAll: boolean;
  /** Of the table of all mutations. */
  readonly output: OutputFormat;
  /** Where histories go, if anywhere. */
  readonly historiesDirectory: string | undefined;
  /** Kinds of faults that are left out. */
  readonly without: readonly FaultKind[];
  readonly isShrinking: boolean;
  readonly shrinkRunCountMax: number;
  readonly logLevel: LogLevel;
}

export const exitCodes = { passed: 0, failed: 1, usage: 2 } as const;

export const help = `usage: npm run test:sim -- [options]

Runs whole clusters in one thread, on simulated time, network, disks and metadata, with faults by seed: seed N, N + 1, …
until the time is over or one fails; then the failing run is made smaller and told as a story.

options
  --seed N           the first seed; by default 1
  --minutes M        how long new seeds are begun, 2
  --seeds K          at most this many seeds
  --trace            print every event (with --seeds 1: a run is long)
  --log LEVEL        print what the processes log: ${logLevels.join(', ')}
  --mutation NAME    break one rule on purpose; passes when some seed catches it:
                     ${mutationNames.join('\n                     ')}
  --mutations        hunt all of them, one after another, within --seeds each, ${huntSeedCountMax} unless told; passes when
                     each is caught
  --output FORMAT    of --mutations: table, json
  --histories DIR    write what clients sent and were told to DIR, as e2e/checker/porcupine reads it, with our verdict
  --without KINDS    leave out kinds of faults, separated by commas:
                     ${inLines(faultKinds, 5)}
  --no-shrink        print the story of a failing seed as it is; of a mutation, none
  --shrink-runs K    runs that making it smaller may take, 200
  --help

exit code: 0 passed (or what was hunted was caught), 1 failed, 2 bad usage
`;

/** Undefined when help was asked for. Throws an Error with a sentence for bad usage. */
export function readArguments(argv: readonly string[]): SimulationOptions | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      seed: { type: 'string', default: '1' },
      minutes: { type: 'string', default: '2' },
      seeds: { type: 'string' },
      trace: { type: 'boolean', default: false },
      log: { type: 'string', default: 'silent' },
      mutation: { type: 'string' },
      mutations: { type: 'boolean', default: false },
      output: { type: 'string', default: 'table' },
      histories: { type: 'string' },
      without: { type: 'string', default: '' },
      'no-shrink': { type: 'boolean', default: false },
      'shrink-runs': { type: 'string', default: '200' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  if (values.mutations && values.mutation !== undefined) throw new Error('--mutation names one, --mutations means all: give one of them');
  return {
    seed: number('--seed', values.seed, Number.isInteger),
    minutes: number('--minutes', values.minutes, (minutes) => minutes > 0),
    seedCountMax: values.seeds === undefined ? (values.mutations ? huntSeedCountMax : Infinity) : number('--seeds', values.seeds, Number.isInteger),
    isTracing: values.trace,
    mutation: values.mutation === undefined ? undefined : oneOf('--mutation', mutationNames, values.mutation),
    isHuntingAll: values.mutations,
    output: oneOf('--output', outputFormats, values.output),
    historiesDirectory: values.histories,
    without: values.without.split(',').filter((kind) => kind !== '').map((kind) => oneOf('--without', faultKinds, kind)),
    isShrinking: !values['no-shrink'],
    shrinkRunCountMax: number('--shrink-runs', values['shrink-runs'], Number.isInteger),
    logLevel: oneOf('--log', logLevels, values.log),
  };
}

function inLines(names: readonly string[], perLine: number): string {
  return names.map((name, i) => `${name}${i === names.length - 1 ? '' : ','}${i % perLine === perLine - 1 ? '\n                     ' : ' '}`).join('').trim();
}

function number(flag: string, text: string, isGood: (value: number) => boolean): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0 || !isGood(value)) throw new Error(`${flag} does not take "${text}"; see --help`);
  return value;
}

function oneOf<Name extends string>(flag: string, names: readonly Name[], name: string): Name {
  const found = names.find((candidate) => candidate === name);
  if (found === undefined) throw new Error(`${flag} is one of ${names.join(', ')}, not "${name}"`);
  return found;
}
