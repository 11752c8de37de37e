/**
 * Ports that a process can come back to after it was killed. They lie below the range that the kernel takes for outgoing
 * connections, so that nobody else is given one meanwhile, and nobody who tries to connect there meets himself. Suites that
 * run at the same time choose different ones: each holds its own by UDP sockets of the same numbers as long as it runs.
 */

import { randomInt } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { createServer } from 'node:net';

const firstPort = 20_000;
const lastPort = 32_000;
const triesMax = 200;

export async function fixedPorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count; tries++) {
    if (tries > triesMax) throw new Error(`found no ${count} free ports from ${firstPort} to ${lastPort}`);
    const port = randomInt(firstPort, lastPort);
    if (await take(port)) ports.add(port);
  }
  return [...ports];
}

async function take(port: number): Promise<boolean> {
  const claim = await claimed(port);
  if (claim === undefined) return false;
  if (await isFree(port)) return true;
  claim.close();
  return false;
}

/** Undefined when somebody else has it. */
function claimed(port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4').unref();
    socket.once('error', () => {
      socket.close();
      resolve(undefined);
    });
    socket.bind({ port, address: '127.0.0.1', exclusive: true }, () => resolve(socket));
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
