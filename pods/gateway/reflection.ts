/** Server reflection for everything that is served: the dialects' services and their aliases, health, and reflection itself. */

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import type { FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import type { GrpcService } from '../dialects/dialect.ts';
import type { PackageHandler, PackageMethods } from './package-methods.ts';

const versions = ['grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection'];
const methodName = 'ServerReflectionInfo';

/**
 * Services that packages bring. Their files are ours (proto/grpc), compiled like all others: those of the packages are made
 * at run time, with names and map entries that strict clients refuse.
 */
const servicesOfPackages = ['grpc.health.v1.Health', ...versions];

interface Reflection {
  readonly definition: MethodDefinition<unknown, unknown>;
  readonly handle: PackageHandler;
}

/** Taking in the descriptors costs about as much as the rest of the gateway's start, so the first caller waits for it. */
export function addReflection(server: PackageMethods, descriptors: Uint8Array, services: readonly GrpcService[]): void {
  let reflections: readonly Reflection[] | undefined;
  const read = (version: number): Reflection => (reflections ??= readReflections(descriptors, services))[version]!;
  versions.forEach((name, version) => {
    const definition = {
      path: `/${name}/${methodName}`,
      requestStream: true,
      responseStream: true,
      requestDeserialize: (bytes: Buffer) => read(version).definition.requestDeserialize(bytes),
      responseSerialize: (answer: unknown) => read(version).definition.responseSerialize(answer),
    };
    server.add(definition, (call, callback) => read(version).handle(call, callback));
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
