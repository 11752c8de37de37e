/** The requests of the other side of a connection: each runs under its deadline until it has its answer or is cancelled. */

import type { Request } from '../../proto/gen/shoal/shard/v1/peer.ts';
import type { PodService } from '../domain/pod-service.ts';
import type { Clock } from '../kernel/clock.ts';
import { startDeadline, type Deadline } from '../kernel/deadline.ts';
import { ShoalError, asShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Tracer } from '../telemetry/tracer.ts';
import { encodeError } from './error-codec.ts';
import { encodeItem } from './frame.ts';
import type { AnswerBody, OperationName, RequestBody } from './operation.ts';
import { operations } from './operations.ts';

export interface IncomingRequestsOptions {
  /** UNAVAILABLE, or SHUTTING_DOWN, while nothing is served. */
  service(): PodService;
  /** Why the other side may not ask for that; undefined when it may. */
  refusal(operation: OperationName): ShoalError | undefined;
  readonly peer: string;
  readonly clock: Clock;
  readonly tracer: Tracer;
  readonly logger: Logger;
  /** A request has its answer: OK or the code of its error. */
  answered(operation: string, code: string): void;
  /** Bytes of answers that the other side does not take. */
  waitingAnswerBytes(): number;
  /** Sends the encoded answer; `gone` when it has left the queue. */
  answer(item: Uint8Array, gone: () => void): void;
}

export class IncomingRequests {
  readonly #options: IncomingRequestsOptions;
  readonly #running = new Map<number, Deadline>();

  constructor(options: IncomingRequestsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#running.size;
  }

  /** `settled` is called when nothing of the request is held any more: its answer has gone, or it was cancelled and has ended. */
  start(request: Request, settled: () => void): void {
    const { id } = request;
    const refusal = this.#refusal();
    if (refusal !== undefined) return this.#answer(id, { $case: 'error', error: encodeError(refusal) }, settled);
    const deadline = startDeadline(this.#options.clock, request.timeoutMs);
    this.#running.set(id, deadline);
    void this.#run(request, deadline).then((answer) => {
      deadline.settle();
      this.#running.delete(id);
      if (answer === undefined) settled();
      else this.#answer(id, answer, settled);
    });
  }

  cancel(id: number): void {
    this.#running.get(id)?.cancel();
  }

  /** The connection is lost: nobody waits for any answer. */
  cancelAll(): void {
    for (const deadline of this.#running.values()) deadline.cancel();
  }

  #refusal(): ShoalError | undefined {
    if (this.#running.size >= limits.wireRequestsInFlightMax) return new ShoalError('OVERLOADED', `${this.#running.size} requests of one connection are under way`);
    const waitingBytes = this.#options.waitingAnswerBytes();
    if (waitingBytes > limits.wireQueueBytesMax) return new ShoalError('OVERLOADED', `${waitingBytes} bytes of answers wait to be taken`);
    return undefined;
  }

  /** Never rejects; undefined when nobody waits for the answer. */
  async #run({ body, target, traceparent }: Request, { signal }: Deadline): Promise<AnswerBody | undefined> {
    const { service, refusal, tracer, peer, answered } = this.#options;
    const name: OperationName | undefined = body?.$case;
    const span = tracer.start(`pod.${name ?? 'unknown'}`, traceparent === '' ? undefined : traceparent, { peer });
    try {
      if (body === undefined || name === undefined) throw new ShoalError('UNIMPLEMENTED', 'this version does not know the request');
      const refused = refusal(name);
      if (refused !== undefined) throw refused;
      const shard = target && { collectionUID: target.collectionUid, shardUID: target.shardUid, epoch: target.epoch };
      const answer = await serve(name, service(), shard, body, { signal, span });
      answered(name, 'OK');
      return answer;
    } catch (error) {
      span.fail(error);
      if (signal.aborted && (signal.reason as ShoalError).code === 'CANCELLED') return undefined;
      const known = this.#known(error, name);
      answered(name ?? 'unknown', known.code);
      return { $case: 'error', error: encodeError(known) };
    } finally {
      span.end();
    }
  }

  #known(error: unknown, operation: OperationName | undefined): ShoalError {
    const known = asShoalError(error);
    if (known.code === 'INTERNAL') this.#options.logger.error({ error, operation, peer: this.#options.peer }, 'a request of another process met a defect');
    return known;
  }

  #answer(id: number, body: AnswerBody, settled: () => void): void {
    this.#options.answer(this.#encode(id, body), settled);
  }

  #encode(id: number, body: AnswerBody): Uint8Array {
    const encode = (fitting: AnswerBody): Uint8Array => encodeItem({ $case: 'answer', answer: { id, body: fitting } });
    let item: Uint8Array;
    try {
      item = encode(body);
    } catch (error) {
      return encode({ $case: 'error', error: encodeError(this.#known(error, undefined)) });
    }
    if (item.length <= limits.wireItemBytesMax) return item;
    const tooLarge = new ShoalError('RESPONSE_TOO_LARGE', `the answer of a shard has ${item.length} bytes; the limit is ${limits.wireItemBytesMax}`, {
      details: { limit: limits.wireItemBytesMax, found: item.length },
    });
    return encode({ $case: 'error', error: encodeError(tooLarge) });
  }
}

function serve(name: OperationName, service: PodService, target: Parameters<(typeof operations)[OperationName]['serve']>[1], body: RequestBody, context: Parameters<(typeof operations)[OperationName]['serve']>[3]): Promise<AnswerBody> {
  return operations[name].serve(service, target, body, context);
}
