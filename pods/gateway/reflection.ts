/** Server reflection for everything that is served: the dialects' services and their aliases, health, and reflection itself. */

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import type { FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import type { Server, ServiceDefinition } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { service as healthService } from 'grpc-health-check';
import type { GrpcService } from '../dialects/dialect.ts';

export function addReflection(server: Server, descriptors: Uint8Array, services: readonly GrpcService[]): void {
  const described = fromBinary(FileDescriptorSetSchema, descriptors).file;
  const files: Buffer[] = [...described, ...aliasFiles(described, services)].map((file) => Buffer.from(toBinary(FileDescriptorProtoSchema, file)));
  files.push(...filesOf(healthService as unknown as ServiceDefinition));
  const served = new Set([...services.flatMap(({ definition, aliases }) => [serviceName(definition), ...(aliases ?? [])]), 'grpc.health.v1.Health']);
  // The reflection service does not know its own files before it is added; a first one tells them.
  const own: ServiceDefinition[] = [];
  reflection([], undefined).addToServer({ addService: (definition) => void own.push(definition as ServiceDefinition) });
  for (const definition of own) {
    files.push(...filesOf(definition));
    served.add(serviceName(definition));
  }
  reflection(files, [...served]).addToServer(server);
}

export function serviceName(definition: ServiceDefinition): string {
  return Object.values(definition)[0]!.path.split('/')[1]!;
}

/** Of a package definition the service reads nothing but the serialised files. */
function reflection(fileDescriptorProtos: Buffer[], services: string[] | undefined): ReflectionService {
  const definition = { files: { format: 'Protocol Buffer 3 DescriptorProto', type: {}, fileDescriptorProtos } };
  return new ReflectionService(definition as never, services === undefined ? {} : { services });
}

function filesOf(definition: ServiceDefinition): Buffer<ArrayBuffer>[] {
  const types = Object.values(definition) as unknown as { requestType: { fileDescriptorProtos: Buffer<ArrayBuffer>[] } }[];
  return types[0]!.requestType.fileDescriptorProtos;
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
