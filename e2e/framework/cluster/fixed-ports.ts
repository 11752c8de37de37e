/**
 * Ports that a process can come back to after it was killed. They lie below the range that the kernel takes for outgoing
 * connections, so that nobody else is given one meanwhile, and nobody who tries to connect there meets himself.
 */

import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

const firstPort = 20_000;
const lastPort = 32_000;
const triesMax = 200;

export async function fixedPorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count; tries++) {
    if (tries > triesMax) throw new Error(`found no ${count} free ports from ${firstPort} to ${lastPort}`);
    const port = randomInt(firstPort, lastPort);
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
