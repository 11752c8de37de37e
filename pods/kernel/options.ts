/**
 * Reads a process's options from a table of declarations. A value comes from the first of: flag, environment variable,
 * file (`--config file.json`, whose fields are named like the flags), default. What the table does not know is refused by
 * name. The tables are in `config.ts`.
 */

import { ShoalError } from './errors.ts';

type OptionType = 'string' | 'integer' | 'number' | 'boolean' | 'choice' | 'list';

export interface OptionDeclaration {
  readonly type: OptionType;
  /** Without the dashes; also the field's name in the file. A secret has no flag: `ps` shows flags to everyone. */
  readonly flag: string;
  /** Environment variables, the first that is set counts. */
  readonly variables: readonly string[];
  readonly default: string | number | boolean | readonly string[] | undefined;
  readonly help: string;
  readonly choices?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly secret?: true;
  /** Not a field of the file. */
  readonly notInFile?: true;
}

export type OptionTable = Readonly<Record<string, OptionDeclaration>>;

type ValueOf<Option> = Option extends { type: 'boolean' }
  ? boolean
  : Option extends { type: 'integer' | 'number' }
    ? number
    : Option extends { type: 'list' }
      ? readonly string[]
      : Option extends { type: 'choice'; choices: readonly (infer Choice)[] }
        ? Choice
        : Option extends { default: string }
          ? string
          : string | undefined;

export type ConfigOf<Table extends OptionTable> = { readonly [Key in keyof Table]: ValueOf<Table[Key]> };

export interface ConfigSources {
  /** What follows the subcommand. */
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
}

/** Throws INVALID_ARGUMENT for a bad value and UNKNOWN_FIELD for a flag or field that the table does not have. */
export function readOptions<Table extends OptionTable>(table: Table, sources: ConfigSources): ConfigOf<Table> {
  const flags = readFlags(table, sources.argv);
  const environment = readEnvironment(table, sources.environment);
  const path = (flags.get('configFile') ?? environment.get('configFile')) as string | undefined;
  const file = path === undefined ? new Map<string, unknown>() : readConfigFile(table, path, sources.readFile);
  return Object.fromEntries(
    Object.entries(table).map(([key, option]) => [key, flags.get(key) ?? environment.get(key) ?? file.get(key) ?? option.default]),
  ) as ConfigOf<Table>;
}

export function wantsHelp(argv: readonly string[]): boolean {
  return argv.includes('--help') || argv.includes('-h');
}

/** The options in use, for a log: secrets are counted, not shown. */
export function printableOptions<Table extends OptionTable>(table: Table, config: ConfigOf<Table>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(table).flatMap(([key, option]) => {
      const value: unknown = config[key as keyof Table];
      if (value === undefined) return [];
      return [[option.flag, option.secret ? `${(value as readonly string[]).length} given` : value]];
    }),
  );
}

export function optionsHelp(command: string, table: OptionTable): string {
  const lines = Object.values(table).map((option) => {
    const name = option.secret ? '' : option.type === 'boolean' ? `--${option.default === true ? 'no-' : ''}${option.flag}` : `--${option.flag} <${placeholder(option)}>`;
    const fallback = option.default === undefined || option.type === 'boolean' || option.type === 'list' ? '' : ` Default ${String(option.default)}.`;
    return { name, variables: option.variables.join(', '), help: option.help + fallback };
  });
  const width = Math.max(...lines.map(({ name }) => name.length)) + 2;
  const rows = lines.map(({ name, variables, help }) => `  ${name.padEnd(width)}${help}\n  ${''.padEnd(width)}Environment: ${variables}`);
  return [
    `Usage: ${command} [options]`,
    '',
    'A flag wins over its environment variable, that over the file of --config, that over the default.',
    '',
    ...rows,
    `  ${'--help'.padEnd(width)}Print this.`,
    '',
  ].join('\n');
}

function placeholder(option: OptionDeclaration): string {
  return option.choices?.join('|') ?? option.type;
}

function byFlagOf(table: OptionTable): Map<string, readonly [string, OptionDeclaration]> {
  return new Map(Object.entries(table).map((entry) => [entry[1].flag, entry]));
}

function readFlags(table: OptionTable, argv: readonly string[]): Map<string, unknown> {
  const byFlag = byFlagOf(table);
  const values = new Map<string, unknown>();
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at]!;
    if (!argument.startsWith('--')) throw new ShoalError('UNKNOWN_FIELD', `unexpected argument "${argument}"; see --help`);
    const equals = argument.indexOf('=');
    const flag = argument.slice(2, equals < 0 ? undefined : equals);
    const negated = byFlag.get(flag) === undefined && flag.startsWith('no-') ? byFlag.get(flag.slice(3)) : undefined;
    if (negated !== undefined && negated[1].type === 'boolean' && equals < 0) {
      values.set(negated[0], false);
      continue;
    }
    const entry = byFlag.get(flag);
    if (entry?.[1].secret) throw invalid(`--${flag} is secret, and other users can see flags; use ${entry[1].variables.join(' or ')}`);
    if (entry === undefined) throw unknown(`--${flag}`, [...byFlag.keys()].map((name) => `--${name}`));
    const [key, option] = entry;
    if (option.type === 'boolean') values.set(key, equals < 0 ? true : parseText(option, argument.slice(equals + 1), `--${flag}`));
    else {
      const text = equals < 0 ? argv[++at] : argument.slice(equals + 1);
      if (text === undefined) throw invalid(`--${flag} needs a value (${placeholder(option)})`);
      values.set(key, parseText(option, text, `--${flag}`));
    }
  }
  return values;
}

function readEnvironment(table: OptionTable, environment: Readonly<Record<string, string | undefined>>): Map<string, unknown> {
  const values = new Map<string, unknown>();
  for (const [key, option] of Object.entries(table)) {
    const variable = option.variables.find((name) => (environment[name] ?? '') !== '');
    if (variable !== undefined) values.set(key, parseText(option, environment[variable]!, variable));
  }
  return values;
}

function readConfigFile(table: OptionTable, path: string, readFile: (path: string) => string): Map<string, unknown> {
  const byFlag = byFlagOf(table);
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFile(path));
  } catch (cause) {
    // The parser's message quotes the text, which may hold API keys.
    const why = cause instanceof SyntaxError ? 'it is not valid JSON' : (cause as Error).message;
    throw new ShoalError('INVALID_ARGUMENT', `the file of --config, ${path}, cannot be read: ${why}`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw invalid(`the file of --config, ${path}, holds no JSON object`);
  const values = new Map<string, unknown>();
  for (const [field, value] of Object.entries(parsed)) {
    const entry = byFlag.get(field);
    if (entry === undefined || entry[1].notInFile) throw unknown(`field "${field}" of ${path}`, [...byFlag.keys()], field);
    values.set(entry[0], parseJson(entry[1], value, `field "${field}" of ${path}`));
  }
  return values;
}

function parseJson(option: OptionDeclaration, value: unknown, name: string): unknown {
  if (option.type === 'boolean') {
    if (typeof value !== 'boolean') throw invalid(`${name} must be true or false`);
    return value;
  }
  if (option.type === 'list') {
    if (!Array.isArray(value) || value.some((item) => typeof item !== 'string')) throw invalid(`${name} must be an array of strings`);
    return value;
  }
  const wanted = option.type === 'integer' || option.type === 'number' ? 'number' : 'string';
  if (typeof value !== wanted) throw invalid(`${name} must be a ${wanted}`);
  return parseText(option, String(value), name);
}

function parseText(option: OptionDeclaration, text: string, name: string): unknown {
  switch (option.type) {
    case 'string':
      if (text === '') throw invalid(`${name} is empty`);
      return text;
    case 'boolean':
      if (text === 'true' || text === '1') return true;
      if (text === 'false' || text === '0') return false;
      throw invalid(`${name} must be true or false`);
    case 'choice':
      if (!option.choices!.includes(text)) throw invalid(`${name} is "${text}"; it must be one of ${option.choices!.join(', ')}`);
      return text;
    case 'list':
      return text.split(',').map((item) => item.trim()).filter((item) => item !== '');
    case 'integer':
    case 'number':
      return parseNumber(option, text, name);
  }
}

function parseNumber(option: OptionDeclaration, text: string, name: string): number {
  const value = text.trim() === '' ? NaN : Number(text);
  const kind = option.type === 'integer' ? 'an integer' : 'a number';
  if (!Number.isFinite(value) || (option.type === 'integer' && !Number.isInteger(value))) throw invalid(`${name} is "${text}"; it must be ${kind}`);
  const { minimum = -Infinity, maximum = Infinity } = option;
  if (value < minimum || value > maximum) throw invalid(`${name} is ${text}; it must be ${kind} from ${minimum} to ${maximum}`);
  return value;
}

export function invalid(message: string): ShoalError {
  return new ShoalError('INVALID_ARGUMENT', message);
}

function unknown(what: string, known: readonly string[], given = what): ShoalError {
  const near = nearest(given, known);
  return new ShoalError('UNKNOWN_FIELD', `unknown ${what.startsWith('--') ? `flag ${what}` : what}${near === undefined ? '' : `; did you mean ${near}?`}`);
}

/** The known name with the smallest edit distance, if that is small enough for a slip of the fingers. */
function nearest(given: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.min(3, Math.ceil(given.length / 3)) + 1;
  for (const name of known) {
    const distance = editDistance(given, name);
    if (distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}

