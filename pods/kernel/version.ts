/** The version of the program, as its package says. */

import { readFileSync } from 'node:fs';

export function programVersion(): string {
  return (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
}
