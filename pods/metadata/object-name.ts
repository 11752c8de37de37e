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

export function shardObjectName(collectionObject: string, generation: number, index: number): string {
  return `${collectionObject}-${generation}-${index}`;
}
