import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLoopback, readOperatorConfig, readServerConfig, serverOptions, type ServerConfig } from './config.ts';
import { ShoalError } from './errors.ts';
import { optionsHelp, printableOptions, type ConfigSources } from './options.ts';

const sources = (argv: string[], environment: Record<string, string> = {}, file?: string): ConfigSources => ({
  argv,
  environment,
  readFile(path) {
    assert.equal(path, 'shoal.json');
    assert.ok(file !== undefined);
    return file;
  },
});

test('a flag wins over the environment, that over the file, that over the default', () => {
  const file = JSON.stringify({ 'http-port': 1, 'grpc-port': 2, 'slow-query-ms': 3, metrics: true });
  const config = readServerConfig(sources(['--http-port', '11', '--config=shoal.json', '--no-metrics'], { SHOAL_HTTP_PORT: '21', SHOAL_GRPC_PORT: '22' }, file));
  assert.deepEqual([config.httpPort, config.grpcPort, config.slowQueryMs, config.requestTimeoutMs, config.metrics], [11, 22, 3, 30_000, false]);
});

test('without any source the defaults hold', () => {
  const expected = Object.fromEntries(Object.entries(serverOptions).map(([key, option]) => [key, option.default]));
  assert.deepEqual(readServerConfig(sources([])), expected);
});

const wrong: readonly [name: string, argv: string[], environment: Record<string, string>, file: string | undefined, code: string, message: string][] = [
  ['unknown flag', ['--http-prot', '1'], {}, undefined, 'UNKNOWN_FIELD', 'unknown flag --http-prot; did you mean --http-port?'],
  ['far from any flag', ['--zebra-crossing'], {}, undefined, 'UNKNOWN_FIELD', 'unknown flag --zebra-crossing'],
  ['stray argument', ['here'], {}, undefined, 'UNKNOWN_FIELD', 'unexpected argument "here"; see --help'],
  ['missing value', ['--http-port'], {}, undefined, 'INVALID_ARGUMENT', '--http-port needs a value (integer)'],
  ['not an integer', ['--http-port', '1.5'], {}, undefined, 'INVALID_ARGUMENT', '--http-port is "1.5"; it must be an integer'],
  ['out of range', [], { SHOAL_HTTP_PORT: '70000' }, undefined, 'INVALID_ARGUMENT', 'SHOAL_HTTP_PORT is 70000; it must be an integer from 0 to 65535'],
  ['not a choice', ['--log-level', 'x'], {}, undefined, 'INVALID_ARGUMENT', '--log-level is "x"; it must be one of trace, debug, info, warn, error, fatal, silent'],
  ['unknown field', ['--config', 'shoal.json'], {}, '{"hosts":"a"}', 'UNKNOWN_FIELD', 'unknown field "hosts" of shoal.json; did you mean host?'],
  ['wrong type of field', ['--config', 'shoal.json'], {}, '{"http-port":"8080"}', 'INVALID_ARGUMENT', 'field "http-port" of shoal.json must be a number'],
  ['broken file', ['--config', 'shoal.json'], {}, '{"api-keys":["hush"', 'INVALID_ARGUMENT', 'the file of --config, shoal.json, cannot be read: it is not valid JSON'],
  ['secret as a flag', ['--api-keys', 'hush'], {}, undefined, 'INVALID_ARGUMENT', '--api-keys is secret, and other users can see flags; use SHOAL_API_KEYS or API_KEYS'],
  ['half of TLS', ['--tls-key', 'k.pem'], {}, undefined, 'INVALID_ARGUMENT', '--tls-cert and --tls-key belong together; one of them is missing'],
  ['open without keys', ['--host', '0.0.0.0', '--no-auth', '--insecure'], {}, undefined, 'INVALID_ARGUMENT', '--no-auth works on a loopback address only, and --host is 0.0.0.0'],
  [
    'open without TLS',
    ['--host', '10.0.0.1'],
    {},
    undefined,
    'INVALID_ARGUMENT',
    '--host 10.0.0.1 is open to others, so it needs --tls-cert and --tls-key, or --insecure to go without',
  ],
];
for (const [name, argv, environment, file, code, message] of wrong) {
  test(`refuses: ${name}`, () => {
    assert.throws(
      () => readServerConfig(sources(argv, environment, file)),
      (error) => {
        assert.ok(error instanceof ShoalError);
        assert.deepEqual({ code: error.code, message: error.message }, { code, message });
        return true;
      },
    );
  });
}

test('an overlap of authorities fits into the last third of what it overlaps', () => {
  const read = (...argv: string[]): unknown => readOperatorConfig(sources(['--image', 'shoal', ...argv])).authorityOverlapHours;
  assert.deepEqual([read(), read('--authority-overlap-hours', '240')], [24, 240]);
  for (const argv of [['--authority-overlap-hours', '241'], ['--authority-hours', '71']]) assert.throws(() => read(...argv), { code: 'INVALID_ARGUMENT', message: /^--authority-overlap-hours \d+ is more than a third of/ });
});

test('API keys come from either variable and are never printed', () => {
  const config: ServerConfig = readServerConfig(sources([], { API_KEYS: 'hush-1, hush-2,' }));
  assert.deepEqual(config.apiKeys, ['hush-1', 'hush-2']);
  assert.deepEqual(readServerConfig(sources([], { API_KEYS: 'a', SHOAL_API_KEYS: 'b' })).apiKeys, ['b']);
  assert.equal(printableOptions(serverOptions, config)['api-keys'], '2 given');
  assert.doesNotMatch(JSON.stringify(printableOptions(serverOptions, config)), /hush/);
});

test('the help names every flag and variable', () => {
  const help = optionsHelp('shoal standalone', serverOptions);
  for (const option of Object.values(serverOptions)) {
    if (!('secret' in option)) assert.match(help, new RegExp(`--(no-)?${option.flag}\\b`));
    for (const variable of option.variables) assert.ok(help.includes(variable), variable);
  }
});

test('which addresses are loopback', () => {
  const table = { localhost: true, '127.0.0.1': true, '127.9.9.9': true, '::1': true, '0.0.0.0': false, '::': false, '127.example.com': false, '10.0.0.1': false };
  assert.deepEqual(Object.fromEntries(Object.keys(table).map((host) => [host, isLoopback(host)])), table);
});
