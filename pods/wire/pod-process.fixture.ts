/**
 * A pod in a process of its own, to be killed or stopped: `node pod-process.fixture.ts <name> [<name>=<host:port> of a pod
 * to connect to]`. Prints its port. Every request waits for ever; messages are passed over.
 */

import { message, podAnswering, startTestPod, type Addresses } from './wire.fixture.ts';

const [name, other] = process.argv.slice(2);
const addresses: Addresses = new Map();
const pod = await startTestPod(addresses, { name: name!, served: { service: podAnswering(() => new Promise(() => undefined)) } });
if (other !== undefined) {
  const [otherName, address] = other.split('=');
  addresses.set(otherName!, address!);
  pod.transport.send(message({ kind: 'hello' }, name, otherName));
}
process.stdout.write(`${pod.server.address.port}\n`);
