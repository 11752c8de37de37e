/** A directory of a test's own, gone when the test ends. SHOAL_KEEP=1 keeps it, to look at after a failure. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atEnd, type Owner } from './cleanup.ts';

export async function temporaryDirectory(t: Owner): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-e2e-'));
  if (process.env['SHOAL_KEEP'] === '1') t.diagnostic(`keeping ${directory}`);
  else atEnd(t, () => rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }));
  return directory;
}
