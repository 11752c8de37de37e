/** The Secrets of a namespace in the Kubernetes API, each asked for by its name: the operator has no right to list them. */

import type { SeenSecret } from '../observe/objects.ts';
import type { ObjectWriter } from '../runtime/apply.ts';
import type { SecretStore } from './certificate-keeper.ts';

export function kubeSecretStore(writer: ObjectWriter): SecretStore {
  return {
    read: async (name) => (await writer.read('Secret', name)) as SeenSecret | undefined,
    async create(secret) {
      await writer.create('Secret', secret);
    },
    async replace(secret) {
      await writer.swap('Secret', secret);
    },
  };
}
