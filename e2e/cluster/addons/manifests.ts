/** The YAML files of this folder, with `${name}` replaced by what the cluster has there. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** `${fileHash}`, in the annotations of pods, starts them anew when anything in the file has changed. */
export function manifest(file: string, values: Readonly<Record<string, string>>): string {
  const text = readFileSync(join(import.meta.dirname, file), 'utf8');
  const fileHash = createHash('sha256').update(text).update(JSON.stringify(values)).digest('hex').slice(0, 16);
  return text.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => {
    const value = { fileHash, ...values }[name];
    if (value === undefined) throw new Error(`${file} wants ${name}`);
    return value;
  });
}
