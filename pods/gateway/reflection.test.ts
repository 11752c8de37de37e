/** What a client learns by reflection alone: every service that is served, with descriptors that it can build messages from. */

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { create, createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import type { FileRegistry } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import type { FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import type { MethodDefinition, ServiceDefinition, loadPackageDefinition } from '@grpc/grpc-js';
import { shoalDialect } from '../dialects/shoal/shoal-dialect.ts';
import { vectronDialect } from '../dialects/vectron/vectron-dialect.ts';
import { serviceName } from './reflection.ts';
import { projectDescriptors, startTestGateway } from './test-gateway.ts';
import type { TestGateway } from './test-gateway.ts';

let small: TestGateway;
let real: TestGateway;
before(async () => {
  small = await startTestGateway();
  real = await startTestGateway({ dialects: [shoalDialect, vectronDialect], descriptors: projectDescriptors });
});
after(() => Promise.all([small.stop(), real.stop()]));

type Reply = Record<string, { service: { name: string }[]; fileDescriptorProto: Buffer[] }>;

const require = createRequire(import.meta.resolve('@grpc/reflection'));
const { loadSync } = require('@grpc/proto-loader') as { loadSync(file: string): Parameters<typeof loadPackageDefinition>[0] };
const reflection = loadSync(require.resolve('@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto'))['grpc.reflection.v1.ServerReflection'] as ServiceDefinition;
const info = reflection.ServerReflectionInfo as MethodDefinition<unknown, Reply>;

function ask({ client }: TestGateway, request: unknown): Promise<Reply> {
  const call = client.makeBidiStreamRequest(info.path, info.requestSerialize, info.responseDeserialize);
  call.write(request);
  call.end();
  return new Promise((resolve, reject) => call.on('data', resolve).on('error', reject));
}

async function servicesOf(gateway: TestGateway): Promise<string[]> {
  return (await ask(gateway, { listServices: '' })).listServicesResponse!.service.map(({ name }) => name).sort();
}

/** Built from nothing but what the server answers, as a client does. */
async function registryOf(gateway: TestGateway, symbol: string): Promise<FileRegistry> {
  const { fileDescriptorResponse } = await ask(gateway, { fileContainingSymbol: symbol });
  assert.ok(fileDescriptorResponse !== undefined, symbol);
  const files = fileDescriptorResponse.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
  return createFileRegistry(create(FileDescriptorSetSchema, { file: dependenciesFirst(files) }));
}

function dependenciesFirst(files: readonly FileDescriptorProto[]): FileDescriptorProto[] {
  const ordered = new Set<FileDescriptorProto>();
  const visit = (file: FileDescriptorProto): void => {
    for (const name of file.dependency) visit(files.find((each) => each.name === name)!);
    ordered.add(file);
  };
  files.forEach(visit);
  return [...ordered];
}

test('aliases are listed and described with the messages of the original', async () => {
  const names = await servicesOf(small);
  assert.deepEqual(names, ['alias.v1.Test', 'grpc.health.v1.Health', 'grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection', 'test.v1.Test']);
  const alias = (await registryOf(small, 'alias.v1.Test')).getService('alias.v1.Test');
  assert.equal(alias?.methods[0]?.input.typeName, 'test.v1.Message');
});

test('every service of the server resolves, with all its methods and their messages', async () => {
  const names = await servicesOf(real);
  const own = [shoalDialect, vectronDialect].flatMap(({ services }) => services.map(({ definition }) => serviceName(definition)));
  assert.deepEqual(names, [...own, 'grpc.health.v1.Health', 'grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection'].sort());
  for (const name of names) assert.ok((await registryOf(real, name)).getService(name)!.methods.length > 0, name);
});

test("health's statuses are a map, whose key and value have names of their own", async () => {
  const statuses = (await registryOf(real, 'grpc.health.v1.Health')).getMessage('grpc.health.v1.HealthListResponse')?.field.statuses;
  assert.ok(statuses?.fieldKind === 'map' && statuses.mapKind === 'message');
  assert.equal(statuses.message.typeName, 'grpc.health.v1.HealthCheckResponse');
  // Some clients refuse an entry whose fields do not bear the names that the compiler gives.
  const entry = statuses.parent.proto.nestedType[0]!;
  assert.deepEqual([entry.name, entry.field.map(({ name }) => name)], ['StatusesEntry', ['key', 'value']]);
});

test('a message that cannot be decoded ends its call, and nothing else', async () => {
  const call = small.client.makeBidiStreamRequest(info.path, (bytes: Buffer) => bytes, info.responseDeserialize);
  call.write(Buffer.from([0xff, 0xff, 0xff]));
  const error = await new Promise<Error>((resolve) => call.on('error', resolve).on('data', () => undefined));
  assert.equal((error as Error & { code?: number }).code, 3);
  assert.ok((await servicesOf(small)).length > 0);
});
