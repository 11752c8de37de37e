/** The YAML files of this folder, with `${name}` replaced by what the cluster has there. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export function manifest(file: string, values: Readonly<Record<string, string>>): string {
  const text = readFileSync(join(import.meta.dirname, file), 'utf8');
  return text.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`${file} wants ${name}`);
    return value;
  });
}
