/**
 * The options of the server, in one table. A value comes from the first of: flag, environment variable, file
 * (`--config file.json`, whose fields are named like the flags), default. What the table does not know is refused by name.
 */

import { ShoalError } from './errors.ts';
import { limits } from './limits.ts';
import { logLevels } from './logger.ts';

type OptionType = 'string' | 'integer' | 'number' | 'boolean' | 'choice' | 'list';

interface OptionDeclaration {
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

const port = { type: 'integer', minimum: 0, maximum: 65_535 } as const;

export const serverOptions = {
  host: { type: 'string', flag: 'host', variables: ['SHOAL_HOST'], default: '127.0.0.1', help: 'Address to listen on.' },
  httpPort: { ...port, flag: 'http-port', variables: ['SHOAL_HTTP_PORT'], default: 8080, help: 'Port of HTTP; 0 takes a free one.' },
  grpcPort: { ...port, flag: 'grpc-port', variables: ['SHOAL_GRPC_PORT'], default: 50_051, help: 'Port of gRPC; 0 takes a free one.' },
  dataDirectory: { type: 'string', flag: 'data-dir', variables: ['SHOAL_DATA_DIR'], default: './data', help: 'Directory of everything that is stored.' },
  apiKeys: {
    type: 'list',
    flag: 'api-keys',
    variables: ['SHOAL_API_KEYS', 'API_KEYS'],
    default: [],
    secret: true,
    help: 'API keys with every right, comma-separated; beside those that are stored.',
  },
  noAuth: { type: 'boolean', flag: 'no-auth', variables: ['SHOAL_NO_AUTH'], default: false, help: 'Ask for no API key; only on a loopback address.' },
  tlsCertificate: { type: 'string', flag: 'tls-cert', variables: ['SHOAL_TLS_CERT'], default: undefined, help: 'PEM file of the certificate chain.' },
  tlsKey: { type: 'string', flag: 'tls-key', variables: ['SHOAL_TLS_KEY'], default: undefined, help: "PEM file of the certificate's private key." },
  insecure: { type: 'boolean', flag: 'insecure', variables: ['SHOAL_INSECURE'], default: false, help: 'Serve without TLS on an address that is not loopback.' },
  openMetrics: {
    type: 'boolean',
    flag: 'open-metrics',
    variables: ['SHOAL_OPEN_METRICS'],
    default: false,
    help: 'Serve /metrics without an API key off loopback too (on loopback it needs none).',
  },
  metrics: { type: 'boolean', flag: 'metrics', variables: ['SHOAL_METRICS'], default: true, help: 'Serve metrics at /metrics.' },
  logLevel: { type: 'choice', choices: logLevels, flag: 'log-level', variables: ['SHOAL_LOG_LEVEL'], default: 'info', help: 'Least level of log lines.' },
  slowQueryMs: {
    type: 'number',
    minimum: 0,
    flag: 'slow-query-ms',
    variables: ['SHOAL_SLOW_QUERY_MS'],
    default: 500,
    help: 'Log requests that take longer, in milliseconds; 0 logs none.',
  },
  otlpEndpoint: {
    type: 'string',
    flag: 'otlp-endpoint',
    variables: ['SHOAL_OTLP_ENDPOINT'],
    default: undefined,
    help: 'Send traces to this OTLP/HTTP base address, such as http://127.0.0.1:4318; nothing is sent without it.',
  },
  traceSampleRatio: {
    type: 'number',
    minimum: 0,
    maximum: 1,
    flag: 'trace-sample-ratio',
    variables: ['SHOAL_TRACE_SAMPLE_RATIO'],
    default: 1,
    help: 'Fraction of requests to trace where the caller has not decided.',
  },
  diskReadOnlyAt: {
    type: 'number',
    minimum: 0.01,
    maximum: 1,
    flag: 'disk-read-only-at',
    variables: ['SHOAL_DISK_READ_ONLY_AT'],
    default: limits.diskReadOnlyAtFraction,
    help: 'Refuse writes that add data when this fraction of the disk is in use.',
  },
  shutdownGraceMs: {
    type: 'integer',
    minimum: 0,
    maximum: 600_000,
    flag: 'shutdown-grace',
    variables: ['SHOAL_SHUTDOWN_GRACE'],
    default: limits.shutdownGraceMs,
    help: 'Time that requests in flight get at shutdown, in milliseconds.',
  },
  requestTimeoutMs: {
    type: 'integer',
    minimum: 1,
    maximum: limits.requestTimeoutMsMax,
    flag: 'request-timeout-ms',
    variables: ['SHOAL_REQUEST_TIMEOUT_MS'],
    default: limits.requestTimeoutMsDefault,
    help: 'Deadline of a request whose client sets none, in milliseconds.',
  },
  configFile: { type: 'string', flag: 'config', variables: ['SHOAL_CONFIG'], default: undefined, notInFile: true, help: 'JSON file of options, its fields named like the flags.' },
} as const satisfies Record<string, OptionDeclaration>;

type OptionKey = keyof typeof serverOptions;
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

export type ServerConfig = { readonly [Key in OptionKey]: ValueOf<(typeof serverOptions)[Key]> };

const options = Object.entries(serverOptions) as readonly (readonly [OptionKey, OptionDeclaration])[];
const byFlag = new Map(options.map((entry) => [entry[1].flag, entry]));

export interface ConfigSources {
  /** What follows the subcommand. */
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
}

/** Throws INVALID_ARGUMENT for a bad value and UNKNOWN_FIELD for a flag or field that the table does not have. */
export function readServerConfig(sources: ConfigSources): ServerConfig {
  const flags = readFlags(sources.argv);
  const environment = readEnvironment(sources.environment);
  const path = (flags.get('configFile') ?? environment.get('configFile')) as string | undefined;
  const file = path === undefined ? new Map<OptionKey, unknown>() : readConfigFile(path, sources.readFile);
  const config: Record<string, unknown> = {};
  for (const [key, option] of options) {
    config[key] = flags.get(key) ?? environment.get(key) ?? file.get(key) ?? option.default;
  }
  const complete = config as ServerConfig;
  checkBinding(complete);
  return complete;
}

export function wantsHelp(argv: readonly string[]): boolean {
  return argv.includes('--help') || argv.includes('-h');
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Throws INVALID_ARGUMENT where the address is open to others and the options would let them in, or listen in. */
export function checkBinding(config: Pick<ServerConfig, 'host' | 'noAuth' | 'tlsCertificate' | 'tlsKey' | 'insecure'>): void {
  if ((config.tlsCertificate === undefined) !== (config.tlsKey === undefined)) {
    throw invalid('--tls-cert and --tls-key belong together; one of them is missing');
  }
  if (isLoopback(config.host)) return;
  if (config.noAuth) throw invalid(`--no-auth works on a loopback address only, and --host is ${config.host}`);
  if (config.tlsCertificate === undefined && !config.insecure) {
    throw invalid(`--host ${config.host} is open to others, so it needs --tls-cert and --tls-key, or --insecure to go without`);
  }
}

/** The options in use, for a log: secrets are counted, not shown. */
export function printableConfig(config: ServerConfig): Record<string, unknown> {
  return Object.fromEntries(
    options.flatMap(([key, option]) => {
      const value = config[key];
      if (value === undefined) return [];
      return [[option.flag, option.secret ? `${(value as readonly string[]).length} given` : value]];
    }),
  );
}

export function serverHelp(command: string): string {
  const lines = options.map(([, option]) => {
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

function readFlags(argv: readonly string[]): Map<OptionKey, unknown> {
  const values = new Map<OptionKey, unknown>();
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

function readEnvironment(environment: Readonly<Record<string, string | undefined>>): Map<OptionKey, unknown> {
  const values = new Map<OptionKey, unknown>();
  for (const [key, option] of options) {
    const variable = option.variables.find((name) => (environment[name] ?? '') !== '');
    if (variable !== undefined) values.set(key, parseText(option, environment[variable]!, variable));
  }
  return values;
}

function readConfigFile(path: string, readFile: (path: string) => string): Map<OptionKey, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFile(path));
  } catch (cause) {
    // The parser's message quotes the text, which may hold API keys.
    const why = cause instanceof SyntaxError ? 'it is not valid JSON' : (cause as Error).message;
    throw new ShoalError('INVALID_ARGUMENT', `the file of --config, ${path}, cannot be read: ${why}`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw invalid(`the file of --config, ${path}, holds no JSON object`);
  const values = new Map<OptionKey, unknown>();
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

function invalid(message: string): ShoalError {
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

