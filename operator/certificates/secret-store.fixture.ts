/** Secrets in memory with the versions of an API server; every answer comes later, so that others get in between. */

import { ShoalError } from '../../pods/kernel/errors.ts';
import type { SeenSecret } from '../observe/objects.ts';
import type { SecretStore } from './certificate-keeper.ts';
import type { SecretContent } from './secrets.ts';

export class MemorySecrets implements SecretStore {
  readonly secrets = new Map<string, SeenSecret>();
  writeCount = 0;
  /** Before each request; what it throws is its answer. */
  before: (verb: 'read' | 'write') => Promise<void> = () => Promise.resolve();
  /** After each write took place. */
  after: () => void = () => undefined;
  #version = 0;

  async read(name: string): Promise<SeenSecret | undefined> {
    await this.before('read');
    return this.secrets.get(name);
  }

  async create(secret: SecretContent): Promise<void> {
    await this.before('write');
    if (this.secrets.has(secret.metadata.name)) throw new ShoalError('CONFLICT', 'it is there');
    this.put(secret);
  }

  async replace(secret: SecretContent): Promise<void> {
    await this.before('write');
    if (this.secrets.get(secret.metadata.name)?.metadata.resourceVersion !== secret.metadata.resourceVersion) throw new ShoalError('CONFLICT', 'it has changed');
    this.put(secret);
  }

  /** By hand. */
  put({ metadata, ...rest }: Omit<SecretContent, 'metadata'> & { readonly metadata: Omit<SecretContent['metadata'], 'resourceVersion'> }): void {
    const version = String(++this.#version);
    this.writeCount++;
    this.secrets.set(metadata.name, { ...rest, metadata: { ...metadata, uid: `uid-${metadata.name}`, resourceVersion: version } });
    this.after();
  }
}
