/**
 * The answer to a request whose body is not wanted: too large, of the wrong type, or from somebody who may not send it.
 *
 * A connection that is closed while bytes still arrive is reset, and the reset can overtake the answer: the client then
 * sees a broken pipe and never learns why. So the answer goes out at once, what still comes is thrown away, within
 * bounds, and then the connection closes.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { HttpReply } from '../dialects/dialect.ts';
import type { Clock } from '../kernel/clock.ts';
import { limits } from '../kernel/limits.ts';

export function answerBeforeBody(request: FastifyRequest, reply: FastifyReply, answer: HttpReply, clock: Clock): void {
  const incoming = request.raw;
  const outgoing = reply.raw;
  const bytes = Buffer.from(JSON.stringify(answer.body));
  request.exchange?.addBytes(0, bytes.length);
  reply.hijack();
  outgoing.writeHead(answer.status, {
    ...(reply.getHeaders() as Record<string, string>),
    ...answer.headers,
    'content-type': 'application/json; charset=utf-8',
    'content-length': bytes.length,
    connection: 'close',
  });
  outgoing.write(bytes);

  let unwantedBytes = 0;
  const end = (): void => {
    timer.cancel();
    outgoing.end();
  };
  const timer = clock.after(limits.unwantedBodyMsMax, end);
  request.exchange?.signal.addEventListener('abort', end, { once: true });
  incoming.on('data', (chunk: Buffer) => {
    unwantedBytes += chunk.length;
    if (unwantedBytes > limits.unwantedBodyBytesMax) end();
  });
  incoming.once('end', end).once('close', end).on('error', end);
  incoming.resume();
}
