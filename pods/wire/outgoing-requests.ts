/** The requests that this side has under way on one connection: each ends with its answer, its signal, or the connection. */

import type { Answer } from '../../proto/gen/shoal/shard/v1/peer.ts';
import type { ShardTarget } from '../domain/pod-service.ts';
import type { Clock } from '../kernel/clock.ts';
import { deadlineOf } from '../kernel/deadline.ts';
import { ShoalError, asShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { decodeError } from './error-codec.ts';
import { encodeItem } from './frame.ts';
import type { Operation } from './operation.ts';
import type { SendQueue, Ticket } from './send-queue.ts';

export interface Asked<Input> {
  readonly target: ShardTarget | undefined;
  readonly input: Input;
  readonly signal: AbortSignal;
  readonly traceparent: string | undefined;
}

interface Pending {
  readonly mutates: boolean;
  /** Some of it may have reached the other side whole: from here on nobody knows what was done. */
  isSent: boolean;
  answered(answer: Answer): void;
  fail(error: ShoalError): void;
}

export interface OutgoingRequestsOptions {
  readonly peer: string;
  readonly clock: Clock;
  readonly queue: SendQueue;
  /** Something was put into the queue. */
  wake(): void;
}

export class OutgoingRequests {
  readonly #options: OutgoingRequestsOptions;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #lost: string | undefined;

  constructor(options: OutgoingRequestsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#pending.size;
  }

  /**
   * Rejects with the error of the other side, with the signal's reason, with OVERLOADED or BODY_TOO_LARGE before anything
   * was sent, and when the connection is lost with UNAVAILABLE, or OUTCOME_UNKNOWN for a write that may have arrived.
   */
  ask<Input, Output>(operation: Operation<Input, Output>, { target, input, signal, traceparent }: Asked<Input>): Promise<Output> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    if (this.#lost !== undefined) return Promise.reject(this.#lostError(this.#lost, false));
    const id = ++this.#lastId;
    let item: Uint8Array;
    try {
      item = encodeItem({
        $case: 'request',
        request: {
          id,
          timeoutMs: this.#remainingMs(signal),
          traceparent: traceparent ?? '',
          target: target && { collectionUid: target.collectionUID, shardUid: target.shardUID, epoch: target.epoch },
          body: operation.encodeRequest(input),
        },
      });
      this.#checkRoom(item.length);
    } catch (error) {
      return Promise.reject(asShoalError(error));
    }
    return new Promise((resolve, reject) => this.#send(id, item, operation, signal, resolve, reject));
  }

  /** An answer without a request is one that was cancelled meanwhile. */
  answered(answer: Answer): void {
    this.#pending.get(answer.id)?.answered(answer);
  }

  connectionLost(reason: string): void {
    this.#lost = reason;
    for (const pending of this.#pending.values()) pending.fail(this.#lostError(reason, pending.mutates && pending.isSent));
  }

  #send<Input, Output>(id: number, item: Uint8Array, operation: Operation<Input, Output>, signal: AbortSignal, resolve: (output: Output) => void, reject: (error: ShoalError) => void): void {
    const { queue, wake } = this.#options;
    let isCancelled = false;
    const settle = (): void => {
      this.#pending.delete(id);
      signal.removeEventListener('abort', onAbort);
    };
    const pending: Pending = {
      mutates: operation.mutates,
      isSent: false,
      answered: ({ body }) => {
        settle();
        try {
          if (body === undefined) throw new ShoalError('UNIMPLEMENTED', 'this version does not know the answer');
          if (body.$case === 'error') throw decodeError(body.error);
          resolve(operation.decodeAnswer(body));
        } catch (error) {
          reject(asShoalError(error));
        }
      },
      fail: (error) => {
        settle();
        reject(error);
      },
    };
    const cancel = (): void => {
      queue.pushControl(encodeItem({ $case: 'cancel', cancel: { id } }));
      wake();
    };
    const ticket: Ticket = queue.push('requests', {
      bytes: item,
      onSent: () => {
        pending.isSent = true;
        if (isCancelled) cancel();
      },
    });
    const onAbort = (): void => {
      settle();
      isCancelled = true;
      // What has gone in part goes whole, and is cancelled after that.
      if (!ticket.withdraw() && pending.isSent) cancel();
      reject(signal.reason as ShoalError);
    };
    this.#pending.set(id, pending);
    signal.addEventListener('abort', onAbort, { once: true });
    wake();
  }

  #remainingMs(signal: AbortSignal): number {
    const atMs = deadlineOf(signal);
    if (atMs === undefined) return limits.requestTimeoutMsMax;
    return Math.ceil(Math.min(Math.max(1, atMs - this.#options.clock.monotonicMs()), limits.requestTimeoutMsMax));
  }

  #checkRoom(sizeBytes: number): void {
    if (sizeBytes > limits.wireItemBytesMax) {
      throw new ShoalError('BODY_TOO_LARGE', `the items for one shard have ${sizeBytes} bytes; the limit is ${limits.wireItemBytesMax}; send smaller batches`, {
        details: { limit: limits.wireItemBytesMax, found: sizeBytes },
      });
    }
    const waitingBytes = this.#options.queue.waitingBytes('requests');
    if (this.#pending.size >= limits.wireRequestsInFlightMax || waitingBytes + sizeBytes > limits.wireQueueBytesMax) {
      throw new ShoalError('OVERLOADED', `${this.#pending.size} requests are under way to ${this.#options.peer}, with ${waitingBytes} bytes not yet sent`);
    }
  }

  #lostError(reason: string, mayBeDone: boolean): ShoalError {
    const { peer } = this.#options;
    if (mayBeDone) return new ShoalError('OUTCOME_UNKNOWN', `the connection to ${peer} was lost before the answer came: ${reason}`, { details: { peer } });
    return new ShoalError('UNAVAILABLE', `the connection to ${peer} was lost: ${reason}`, { details: { peer } });
  }
}
