/** A gateway on free loopback ports with two small dialects, for the tests of this folder. */

import { readFileSync } from 'node:fs';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FieldDescriptorProto_Type, FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Client, credentials } from '@grpc/grpc-js';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import type { VectorApi } from '../api/vector-api.ts';
import { createAuthenticator } from '../auth/authenticator.ts';
import { createKeyStore } from '../auth/key-store.ts';
import type { KeyStore } from '../auth/key-store.ts';
import { memoryRecords } from '../auth/memory-records.ts';
import { serverStream, unary } from '../dialects/dialect.ts';
import type { Dialect, HttpRoute } from '../dialects/dialect.ts';
import { sleep, systemClock } from '../kernel/clock.ts';
import { readServerConfig } from '../kernel/config.ts';
import { type ShoalError } from '../kernel/errors.ts';
import type { LogFields, Logger } from '../kernel/logger.ts';
import { systemRandom } from '../kernel/random.ts';
import { createPrometheusMetrics } from '../telemetry/prometheus-metrics.ts';
import { noTracer } from '../telemetry/tracer.ts';
import { startGateway } from './gateway.ts';
import type { Gateway, GatewayOptions } from './gateway.ts';

/** Of the real services, as the server is given them. */
export const projectDescriptors: Uint8Array = readFileSync(new URL('../../proto/gen/descriptors.binpb', import.meta.url));

export const givenKey = 'a-key-given-by-the-test';

/** What the handlers of the test dialect saw and wait for. */
export interface Probe {
  /** Reasons with which the signals of waiting handlers aborted. */
  readonly aborted: string[];
  readonly traceparents: (string | undefined)[];
  waiting: number;
  release: () => void;
  streamReturned: boolean;
  streamProduced: number;
}

export interface TestGateway extends Gateway {
  readonly base: string;
  readonly probe: Probe;
  readonly logs: { level: string; fields: LogFields; message: string }[];
  readonly keys: KeyStore;
  readonly client: Client;
  readiness: { ready: boolean; reasons: string[] };
  stop(): Promise<void>;
}

export async function startTestGateway(overrides: Partial<GatewayOptions> & { argv?: string[] } = {}): Promise<TestGateway> {
  const probe: Probe = { aborted: [], traceparents: [], waiting: 0, release: () => undefined, streamReturned: false, streamProduced: 0 };
  const logs: TestGateway['logs'] = [];
  const logger = capturingLogger(logs);
  const metrics = createPrometheusMetrics(logger);
  const keys = createKeyStore({ records: memoryRecords(), clock: systemClock, random: systemRandom });
  const status = { ready: true, reasons: [] as string[] };
  const options: GatewayOptions = {
    config: readServerConfig({ argv: ['--http-port=0', '--grpc-port=0', ...(overrides.argv ?? [])], environment: {}, readFile: () => '' }),
    api: { collections: {}, points: {}, search: {}, feedback: {}, keys: {}, cluster: {} } as VectorApi,
    authenticator: createAuthenticator({ keys, givenKeys: [givenKey], clock: systemClock, metrics }),
    dialects: [mainDialect, testDialect(probe)],
    descriptors: testDescriptors(),
    version: '0.0.0',
    metrics,
    tracer: noTracer,
    logger,
    clock: systemClock,
    random: systemRandom,
    readiness: () => status,
    ...overrides,
  };
  const gateway = await startGateway(options);
  const client = new Client(`127.0.0.1:${gateway.grpcAddress.port}`, credentials.createInsecure());
  return {
    ...gateway,
    base: `http://127.0.0.1:${gateway.httpAddress.port}`,
    probe,
    logs,
    keys,
    client,
    readiness: status,
    async stop() {
      client.close();
      await gateway.close();
    },
  };
}

function capturingLogger(logs: TestGateway['logs']): Logger {
  const at = (level: string) => (fields: LogFields, message: string) => void logs.push({ level, fields, message });
  const logger: Logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => logger };
  return logger;
}

function encodeError(name: string): Dialect['encodeError'] {
  return (error, requestId) => ({ status: error.class.http, body: { dialect: name, code: error.code, message: error.message, requestId } });
}

const mainDialect: Dialect = { name: 'main', title: 'Main', mounts: ['/main'], routes: [], services: [], schemas: {}, encodeError: encodeError('main') };

export function testDialect(probe: Probe): Dialect {
  const wait = async (signal: AbortSignal): Promise<string> => {
    probe.waiting++;
    try {
      await new Promise<void>((resolve, reject) => {
        probe.release = resolve;
        signal.addEventListener('abort', () => {
          probe.aborted.push((signal.reason as ShoalError).code);
          reject(signal.reason as Error);
        });
      });
      return 'released';
    } finally {
      probe.waiting--;
    }
  };
  const route = (method: HttpRoute['method'], path: string, action: HttpRoute['action'], body: HttpRoute['body'], handle: HttpRoute['handle'], more: Partial<HttpRoute> = {}): HttpRoute => ({
    method,
    path,
    operationId: `${method.toLowerCase()}${path.replace(/\W+/g, '_')}`,
    summary: path,
    action,
    body,
    handle,
    ...more,
  });
  const ok = (body: unknown) => ({ status: 200, body });
  return {
    name: 'test',
    title: 'Test',
    mounts: ['/test'],
    encodeError: encodeError('test'),
    schemas: { Echo: { type: 'object' } },
    routes: [
      route('POST', '/test/echo', 'read', 'json', async (_api, { body }, { span }) => (probe.traceparents.push(span.traceparent), ok(body)), {
        bodySchema: { $ref: '#/components/schemas/Echo' },
      }),
      route('GET', '/test/items/{id}', 'read', 'none', async (_api, { params, query }, { identity }) => ok({ params, query, subject: identity.subject }), {
        query: { verbose: { type: 'boolean' } },
      }),
      route('DELETE', '/test/items/{id}', 'write', 'none', async () => ({ status: 204, body: undefined })),
      route('POST', '/test/items/{id}:touch', 'write', 'none', async (_api, { params }) => ok(params)),
      route('POST', '/test/small', 'read', 'json', async (_api, { body }) => ok(body), { bodyBytesMax: 100 }),
      route('POST', '/test/wait', 'read', 'json', async (_api, _request, { signal }) => ok(await wait(signal))),
      route('POST', '/test/fail', 'read', 'json', async () => {
        throw new Error('an inner detail');
      }),
      route('GET', '/test/large/{bytes}', 'read', 'none', async (_api, { params }) => ok({ text: 'x'.repeat(Number(params['bytes']) - '{"text":""}'.length) })),
      route('GET', '/test/open', 'none', 'none', async () => ok('open')),
    ],
    services: [
      {
        definition: testService,
        aliases: ['alias.v1.Test'],
        methods: {
          Echo: unary('read', async (_api, request: unknown, { span }) => (probe.traceparents.push(span.traceparent), request)),
          Wait: unary('write', (_api, _request, { signal }) => wait(signal)),
          Fail: unary('read', async () => {
            throw new Error('an inner detail');
          }),
          Large: unary('read', async () => 'x'.repeat(5_000_000)),
          Count: serverStream('read', async function* (_api, count: number, { signal }) {
            try {
              for (let at = 0; at < count; at++) {
                probe.streamProduced++;
                yield 'x'.repeat(100_000);
              }
              if (count < 0) {
                yield 'and no more';
                await sleep(systemClock, 60_000, signal);
              }
            } finally {
              probe.streamReturned = true;
            }
          }),
        },
      },
    ],
  };
}

const encode = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const decode = (bytes: Buffer): unknown => JSON.parse(bytes.toString());
const method = (name: string, responseStream = false): MethodDefinition<unknown, unknown> => ({
  path: `/test.v1.Test/${name}`,
  requestStream: false,
  responseStream,
  requestSerialize: encode,
  requestDeserialize: decode,
  responseSerialize: encode,
  responseDeserialize: decode,
});
/** Its messages are JSON; the gateway never looks inside. */
export const testService: ServiceDefinition = { Echo: method('Echo'), Wait: method('Wait'), Fail: method('Fail'), Large: method('Large'), Missing: method('Missing'), Count: method('Count', true) };

function testDescriptors(): Uint8Array {
  const type = '.test.v1.Message';
  const file = create(FileDescriptorProtoSchema, {
    name: 'test/v1/test.proto',
    package: 'test.v1',
    syntax: 'proto3',
    messageType: [{ name: 'Message', field: [{ name: 'text', number: 1, type: FieldDescriptorProto_Type.STRING }] }],
    service: [{ name: 'Test', method: Object.values(testService).map(({ path, responseStream }) => ({ name: path.split('/')[2]!, inputType: type, outputType: type, serverStreaming: responseStream })) }],
  });
  const ofPackages = fromBinary(FileDescriptorSetSchema, projectDescriptors).file.filter(({ package: name }) => name.startsWith('grpc.'));
  return toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: [file, ...ofPackages] }));
}
