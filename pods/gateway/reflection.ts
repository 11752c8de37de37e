/** Server reflection for everything that is served: the dialects' services and their aliases, health, and reflection itself. */

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import type { FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import { status } from '@grpc/grpc-js';
import type { MethodDefinition, Server, ServerDuplexStream, ServiceDefinition } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import type { GrpcService } from '../dialects/dialect.ts';

const versions = ['grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection'];
const methodName = 'ServerReflectionInfo';

/**
 * Services that packages bring. Their files are ours (proto/grpc), compiled like all others: those of the packages are made
 * at run time, with names and map entries that strict clients refuse.
 */
const servicesOfPackages = ['grpc.health.v1.Health', ...versions];

interface Reflection {
  readonly definition: MethodDefinition<unknown, unknown>;
  readonly handle: (stream: ReflectionStream) => void;
}

/** The part of a call that the package uses. */
interface ReflectionStream {
  on(event: 'data', listener: (request: unknown) => void): void;
  on(event: 'end', listener: () => void): void;
  write(answer: unknown): void;
  end(): void;
}

/** Taking in the descriptors costs about as much as the rest of the gateway's start, so the first caller waits for it. */
export function addReflection(server: Server, descriptors: Uint8Array, services: readonly GrpcService[]): void {
  let reflections: readonly Reflection[] | undefined;
  versions.forEach((name, version) => {
    const definition = {
      [methodName]: { path: `/${name}/${methodName}`, requestStream: true, responseStream: true, requestSerialize: asBytes, requestDeserialize: asBytes, responseSerialize: asBytes, responseDeserialize: asBytes },
    };
    const handler = (call: ServerDuplexStream<Buffer, Buffer>): void => answer(call, (reflections ??= readReflections(descriptors, services))[version]!);
    server.addService(definition, { [methodName]: handler });
  });
}

function answer(call: ServerDuplexStream<Buffer, Buffer>, { definition, handle }: Reflection): void {
  const onData = (listener: (request: unknown) => void, bytes: Buffer): void => {
    let request: unknown;
    try {
      request = definition.requestDeserialize(bytes);
    } catch {
      call.emit('error', { code: status.INVALID_ARGUMENT, details: 'the message could not be decoded' });
      return;
    }
    listener(request);
  };
  handle({
    on: (event: 'data' | 'end', listener: (request?: unknown) => void) => void (event === 'end' ? call.on('end', listener) : call.on('data', (bytes: Buffer) => onData(listener, bytes))),
    write: (reply) => void call.write(definition.responseSerialize(reply)),
    end: () => void call.end(),
  });
}

/** In the order of `versions`. */
function readReflections(descriptors: Uint8Array, services: readonly GrpcService[]): readonly Reflection[] {
  const described = fromBinary(FileDescriptorSetSchema, descriptors).file;
  const files = [...described, ...aliasFiles(described, services)].map((file) => Buffer.from(toBinary(FileDescriptorProtoSchema, file)));
  const served = services.flatMap(({ definition, aliases }) => [serviceName(definition), ...(aliases ?? [])]);
  const definition = { files: { format: 'Protocol Buffer 3 DescriptorProto', type: {}, fileDescriptorProtos: files } };
  const added = new Map<string, Reflection>();
  const collector = {
    addService(service: ServiceDefinition, implementation: Record<string, Reflection['handle']>) {
      added.set(serviceName(service), { definition: service[methodName]! as Reflection['definition'], handle: implementation[methodName]! });
    },
  };
  // Of a package definition the service reads nothing but the serialised files.
  new ReflectionService(definition as never, { services: [...served, ...servicesOfPackages] }).addToServer(collector as never);
  return versions.map((name) => added.get(name)!);
}

const asBytes = (bytes: unknown): Buffer => bytes as Buffer;

export function serviceName(definition: ServiceDefinition): string {
  return Object.values(definition)[0]!.path.split('/')[1]!;
}

/** A service served under another name is described by a file of its own, with the messages of the original. */
function aliasFiles(files: readonly FileDescriptorProto[], services: readonly GrpcService[]): FileDescriptorProto[] {
  return services.flatMap(({ definition, aliases }) => {
    const original = serviceName(definition);
    const file = files.find((each) => each.service.some(({ name }) => `${each.package}.${name}` === original));
    const service = file?.service.find(({ name }) => `${file.package}.${name}` === original);
    if (file === undefined || service === undefined) return [];
    return (aliases ?? []).map((alias) => {
      const dot = alias.lastIndexOf('.');
      return create(FileDescriptorProtoSchema, {
        name: `alias/${alias}.proto`,
        package: alias.slice(0, Math.max(0, dot)),
        syntax: file.syntax,
        dependency: [file.name, ...file.dependency],
        service: [{ ...service, name: alias.slice(dot + 1) }],
      });
    });
  });
}
