/** A client of Vectron that knows nothing of ours: made at run time from proto files written from Vectron's contract. */

import { join } from 'node:path';
import { credentials, loadPackageDefinition, Metadata, type ClientReadableStream, type GrpcObject, type ServiceClientConstructor, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { GrpcFailure } from './grpc-client.ts';
import { checkout } from './server-process.ts';
import { timeoutsMs } from './timeouts.ts';

type Message = Readonly<Record<string, unknown>>;

export const vectronProtoDirectory = join(checkout, 'e2e', 'fixtures', 'vectron-contract');

export class VectronClient {
  readonly #client: InstanceType<ServiceClientConstructor>;
  readonly #metadata = new Metadata();

  constructor(address: string, key: string | undefined) {
    const definition = loadSync('gateway.proto', { includeDirs: [vectronProtoDirectory], keepCase: true, longs: String, enums: String, defaults: true });
    const { VectronService } = (loadPackageDefinition(definition)['vectron'] as GrpcObject)['v1'] as GrpcObject;
    this.#client = new (VectronService as ServiceClientConstructor)(address, credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 });
    if (key !== undefined) this.#metadata.set('authorization', `Bearer ${key}`);
  }

  call(method: string, request: Message): Promise<Message> {
    return new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + timeoutsMs.request };
      (this.#client[method] as (...args: unknown[]) => void).call(this.#client, request, this.#metadata, options, (error: ServiceError | null, response: Message) => {
        if (error === null) resolve(response);
        else reject(new GrpcFailure(error));
      });
    });
  }

  async *searchStream(request: Message): AsyncGenerator<Message> {
    const open = this.#client['SearchStream'] as (...args: unknown[]) => ClientReadableStream<Message>;
    const call = open.call(this.#client, request, this.#metadata, { deadline: Date.now() + timeoutsMs.request });
    try {
      for await (const message of call) yield message as Message;
    } catch (error) {
      throw new GrpcFailure(error as ServiceError);
    }
  }

  close(): void {
    this.#client.close();
  }
}
