/** The name of the object of a collection: its API name where Kubernetes allows that, else a slug with a hash of it. */

import { createHash } from 'node:crypto';

const nameLengthMax = 52;

export function collectionObjectName(apiName: string): string {
  if (apiName.length <= nameLengthMax && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(apiName)) return apiName;
  const slug = apiName
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, nameLengthMax - 11)
    .replace(/-+$/, '');
  const hash = createHash('sha256').update(apiName).digest('hex').slice(0, 10);
  return slug === '' ? `c-${hash}` : `${slug}-${hash}`;
}

/** The names of a generation's shard objects, by index. */
export function shardObjectNames(collectionObject: string, generation: number, shardCount: number): string[] {
  return Array.from({ length: shardCount }, (_, index) => `${collectionObject}-${generation}-${index}`);
}

/** The collection object whose shard has this name. */
export function collectionOfShard(shardObject: string): string {
  return shardObject.replace(/-\d+-\d+$/, '');
}
