/** How commands are declared: commander's tree, whose actions are loaded when they run. */

import { Command, InvalidArgumentError, Option } from 'commander';
import type { CommandContext, GlobalOptions, Terminal } from '../terminal.ts';
import type { OfflineTools } from '../offline-tools.ts';

export interface ProgramParts {
  readonly terminal: Terminal;
  readonly offlineTools: OfflineTools;
}

export type Action<Options> = (context: CommandContext, positional: readonly string[], options: Options) => Promise<void>;

/** A command with examples after its help; `load` imports its code when it runs. */
export function command<Options>(parts: ProgramParts, usage: string, description: string, examples: readonly string[], load: () => Promise<Action<Options>>): Command {
  return new Command(usage.split(' ')[0]!)
    .usage(`${usage.split(' ').slice(1).join(' ')} [options]`.trim())
    .description(description)
    .addHelpText('after', `\n${examples.length === 1 ? 'Example' : 'Examples'}:\n${examples.map((example) => `  $ ${example}`).join('\n')}`)
    .action(async (...given: unknown[]) => {
      const self = given.at(-1) as Command;
      const action = await load();
      await action({ terminal: parts.terminal, options: self.optsWithGlobals<GlobalOptions>() }, self.processedArgs.flat() as string[], self.opts<Options & Record<string, unknown>>() as Options);
    });
}

export function group(name: string, description: string, commands: readonly Command[]): Command {
  const parent = new Command(name).description(description);
  for (const child of commands) parent.addCommand(child);
  return parent;
}

export function integer(flags: string, description: string, range: { min: number; max: number; default?: number }): Option {
  const option = new Option(flags, description).argParser((text) => {
    const value = Number(text);
    if (!/^-?\d+$/.test(text) || value < range.min || value > range.max) throw new InvalidArgumentError(`It must be an integer from ${range.min} to ${range.max}.`);
    return value;
  });
  return range.default === undefined ? option : option.default(range.default);
}

export function number(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
    return value;
  });
}

/** May be given several times. */
export function repeated(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text, before: readonly string[] | undefined) => [...(before ?? []), text]);
}

export function choice(flags: string, description: string, choices: readonly string[], fallback?: string): Option {
  const option = new Option(flags, description).choices(choices);
  return fallback === undefined ? option : option.default(fallback);
}

export const filterOption = (): Option => new Option('--filter <json>', 'only points whose payload matches, such as {"field": "year", "gte": 2020}; @FILE reads it from a file');
export const vectorsOption = (): Option => new Option('--include-vectors', 'show vectors too');
