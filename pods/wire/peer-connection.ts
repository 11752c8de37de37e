/**
 * One connection to another process, after both have said who they are: replication messages, requests in both
 * directions and their answers over one stream.
 *
 *     send, ask ─> queues by lane ─> frames, one turn of the loop's worth ─> stream ─> joined, decoded ─> handled
 *                       ^                                                                                │
 *                       └──────────────── credit: so much of the lane has been dealt with ───────────────┘
 *
 * Bounds: a lane's sender stops where the receiver has not dealt with `wireWindowBytes`. A message is dealt with when its
 * handler has ended, a request when its answer has gone, an answer when it was handed over. So a receiver that is slow, in
 * whatever it is slow, stops the sender; there messages are dropped and requests fail at a bound of the queue.
 */

import type { Message } from '../replication/messages.ts';
import type { PodService } from '../domain/pod-service.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import { ShoalError, asShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Tracer } from '../telemetry/tracer.ts';
import { encodeItem } from './frame.ts';
import type { FrameStream } from './frame-stream.ts';
import { IncomingRequests } from './incoming-requests.ts';
import { decodeMessage, encodeMessage } from './message-codec.ts';
import type { Operation, OperationName } from './operation.ts';
import { OutgoingRequests, type Asked } from './outgoing-requests.ts';
import { ReceiveQueue, type Received } from './receive-queue.ts';
import { SendQueue } from './send-queue.ts';

export interface PeerHandlers {
  /** UNAVAILABLE, or SHUTTING_DOWN, while nothing is served. */
  service(): PodService;
  /** Why the other side may not ask for that; undefined when it may. */
  refusal(operation: OperationName): ShoalError | undefined;
  /** A message counts against the sender's window until the promise, if there is one, has settled. */
  onMessage(message: Message): void | Promise<void>;
  /** A request of the other side has its answer: OK or the code of its error. */
  answered(operation: string, code: string): void;
}

export interface PeerConnectionOptions {
  readonly stream: FrameStream;
  readonly version: number;
  /** Name of the other side, for messages and logs. */
  readonly peer: string;
  readonly handlers: PeerHandlers;
  readonly clock: Clock;
  readonly tracer: Tracer;
  readonly logger: Logger;
  /** The connection has ended; nothing of it is called any more. */
  onClosed(reason: string): void;
  /** Smaller ones in tests. */
  readonly windowBytes?: number;
}

const retireLookMs = 20;

export class PeerConnection {
  readonly #options: PeerConnectionOptions;
  readonly #queue: SendQueue;
  readonly #received: ReceiveQueue;
  readonly #incoming: IncomingRequests;
  readonly #outgoing: OutgoingRequests;
  #isClosed = false;
  #isAwake = false;
  #unflushedBytes = 0;
  #creditTimer: Timer | undefined;
  #retireTimer: Timer | undefined;
  #isCreditDue = false;
  /** What the other side is owed of its window at most before it is told at once. */
  readonly #creditAtBytes: number;
  #droppedMessageCount = 0;

  constructor(options: PeerConnectionOptions) {
    this.#options = options;
    const { stream, version, peer, clock, handlers, tracer, logger } = options;
    this.#queue = new SendQueue(version, options.windowBytes);
    this.#received = new ReceiveQueue(version);
    this.#creditAtBytes = Math.min(limits.wireUnflushedBytesMax, (options.windowBytes ?? limits.wireWindowBytes) / 4);
    this.#outgoing = new OutgoingRequests({ peer, clock, queue: this.#queue, wake: () => this.#wake() });
    this.#incoming = new IncomingRequests({
      service: () => handlers.service(),
      refusal: (operation) => handlers.refusal(operation),
      answered: (operation, code) => handlers.answered(operation, code),
      peer,
      clock,
      tracer,
      logger,
      waitingAnswerBytes: () => this.#queue.waitingBytes('answers'),
      answer: (item, gone) => {
        if (this.#isClosed) return;
        this.#queue.push('answers', { bytes: item, onSent: gone });
        this.#wake();
      },
    });
    stream.handle({ frame: (bytes) => this.#onFrame(bytes), closed: (reason) => this.#end(reason.message) });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Messages that did not fit the queue, since the start. */
  get droppedMessageCount(): number {
    return this.#droppedMessageCount;
  }

  get requestsInFlight(): { readonly incoming: number; readonly outgoing: number } {
    return { incoming: this.#incoming.count, outgoing: this.#outgoing.count };
  }

  /** Of messages: waiting here, or sent and not yet dealt with by the other side. */
  get queuedMessageBytes(): number {
    return this.#queue.waitingBytes('messages') + this.#queue.unacknowledgedBytes('messages');
  }

  sendMessage(message: Message): void {
    if (this.#isClosed) return;
    const bytes = encodeItem({ $case: 'message', message: encodeMessage(message) });
    if (bytes.length > limits.wireItemBytesMax || this.#queue.waitingBytes('messages') + bytes.length > limits.wireQueueBytesMax) {
      this.#droppedMessageCount++;
      return;
    }
    this.#queue.push('messages', { bytes, orderKey: message.shardUID });
    this.#wake();
  }

  /** See `OutgoingRequests.ask` for how it fails. */
  ask<Input, Output>(operation: Operation<Input, Output>, asked: Asked<Input>): Promise<Output> {
    return this.#outgoing.ask(operation, asked);
  }

  /** Ends it at once; requests under way fail as for a lost connection. */
  close(reason: ShoalError): void {
    if (this.#isClosed) return;
    this.#options.stream.close(reason);
    this.#end(reason.message);
  }

  /** Ends it in the first moment in which this side waits for no answer and owes none, at the latest after `withinMs`. */
  retire(reason: ShoalError, withinMs: number): void {
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + withinMs;
    const look = (): void => {
      if (this.#isClosed) return;
      if ((this.#incoming.count === 0 && this.#outgoing.count === 0) || clock.monotonicMs() >= untilMs) this.close(reason);
      else this.#retireTimer = clock.after(retireLookMs, look);
    };
    this.#retireTimer?.cancel();
    look();
  }

  #end(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#creditTimer?.cancel();
    this.#retireTimer?.cancel();
    this.#incoming.cancelAll();
    this.#outgoing.connectionLost(reason);
    this.#options.onClosed(reason);
  }

  // ------------------------------------------------------------- receiving

  #onFrame(bytes: Uint8Array): void {
    if (this.#isClosed) return;
    try {
      for (const received of this.#received.take(bytes)) this.#onItem(received);
    } catch (error) {
      // Without knowing where the next item begins there is no going on.
      const { peer, logger } = this.#options;
      logger.error({ peer, error }, 'a peer does not keep to the internal protocol; its connection is closed');
      this.close(asShoalError(error));
    }
    this.#payCredit();
  }

  #onItem({ kind, cost }: Received): void {
    switch (kind.$case) {
      case 'message':
        this.#onMessage(kind.message, cost);
        return;
      case 'request':
        this.#incoming.start(kind.request, () => {
          this.#received.settle('requests', cost);
          this.#payCredit();
        });
        return;
      case 'answer':
        this.#received.settle('answers', cost);
        this.#outgoing.answered(kind.answer);
        return;
      case 'cancel':
        this.#incoming.cancel(kind.cancel.id);
        return;
      case 'credit':
        this.#queue.credit('messages', kind.credit.messageBytes);
        this.#queue.credit('requests', kind.credit.requestBytes);
        this.#queue.credit('answers', kind.credit.answerBytes);
        this.#goOn();
        return;
      case 'hello':
        throw new ShoalError('MALFORMED_BODY', 'a second greeting');
    }
  }

  #onMessage(wire: Parameters<typeof decodeMessage>[0], cost: number): void {
    const message = decodeMessage(wire);
    const settle = (): void => {
      this.#received.settle('messages', cost);
      this.#payCredit();
    };
    const handled = message === undefined ? undefined : this.#handle(message);
    if (handled === undefined) settle();
    else void handled.catch((error: unknown) => this.#messageMetDefect(error)).then(settle);
  }

  #handle(message: Message): void | Promise<void> {
    try {
      return this.#options.handlers.onMessage(message);
    } catch (error) {
      this.#messageMetDefect(error);
    }
  }

  #messageMetDefect(error: unknown): void {
    this.#options.logger.error({ peer: this.#options.peer, error }, 'a message of another pod met a defect');
  }

  /** Much of it at once; a little after a while, whatever was paid meanwhile: a timer for each frame would cost more. */
  #payCredit(): void {
    if (this.#isClosed || this.#received.owedBytes === 0) return;
    if (this.#received.owedBytes >= this.#creditAtBytes) {
      this.#isCreditDue = true;
      this.#wake();
      return;
    }
    this.#creditTimer ??= this.#options.clock.after(limits.wireCreditDelayMs, () => {
      this.#creditTimer = undefined;
      if (this.#received.owedBytes === 0) return;
      this.#isCreditDue = true;
      this.#wake();
    });
  }

  // --------------------------------------------------------------- sending

  /** What becomes ready in the rest of this turn of the loop goes out together. */
  #wake(): void {
    if (this.#isAwake || this.#isClosed) return;
    this.#isAwake = true;
    setImmediate(() => {
      this.#isAwake = false;
      this.#pump();
    });
  }

  #pump(): void {
    while (!this.#isClosed && this.#unflushedBytes < limits.wireUnflushedBytesMax) {
      const frame = this.#nextFrame();
      if (frame === undefined) return;
      this.#unflushedBytes += frame.length;
      this.#options.stream.write(frame, () => {
        this.#unflushedBytes -= frame.length;
        this.#goOn();
      });
    }
  }

  /** There is room for more, should more be waiting. */
  #goOn(): void {
    if (this.#isCreditDue || this.#queue.hasItems) this.#wake();
  }

  /** Credit for messages, whose sender looks at what is on its way, rides along with whatever goes; all of it goes when it is due. */
  #nextFrame(): Uint8Array | undefined {
    if (!this.#isCreditDue && !this.#queue.hasItems) return undefined;
    if (this.#isCreditDue || this.#received.owesMessages) {
      const credit = this.#received.takeCredit();
      if (credit !== undefined) this.#queue.pushControl(credit);
      this.#isCreditDue = false;
    }
    return this.#queue.nextFrame();
  }
}
