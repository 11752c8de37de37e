/**
 * The network between the processes of a simulated cluster. It carries the messages of replication and the calls of pods,
 * gateways and controller; each copy on the way is the receiver's own.
 *
 *  - A message may be lost, doubled, late and overtaken by others; a cut in one direction loses all that goes that way.
 *  - A call is two deliveries, request and answer (remote-pod.ts has the services on top of it). Nobody is told of a loss:
 *    the caller learns that the connection broke at its next keepalive, or its own deadline comes first.
 *  - A process that ended gets nothing, and nothing of what it still tries to send leaves it.
 */

import assert from 'node:assert/strict';
import type { Timer } from '../../../pods/kernel/clock.ts';
import { ShoalError } from '../../../pods/kernel/errors.ts';
import { below, type Random } from '../../../pods/kernel/random.ts';
import type { PodClient, PodService } from '../../../pods/domain/pod-service.ts';
import type { Message, MessageTransport } from '../../../pods/replication/messages.ts';
import { copyOf, errorAcross, sizeOf } from './copy.ts';
import type { Gate } from './gate.ts';
import { remotePod, type CallPod } from './remote-pod.ts';
import type { Scheduler } from './scheduler.ts';

export interface LinkQuality {
  /** Delays are exponential above the minimum; now and then one is slow. */
  readonly delayMsMin: number;
  readonly delayMsMean: number;
  readonly slowFraction: number;
  readonly slowMsMax: number;
  /** Chances in [0, 1] of a message, loss also of either half of a call. */
  readonly loss: number;
  readonly duplication: number;
  /** That it may overtake those sent before it. */
  readonly reordering: number;
  /** A side that hears nothing for this long takes the connection for broken; at least half of it passes. */
  readonly keepaliveMs: number;
  /** What may be on the way from one process to another; more is dropped. */
  readonly windowBytes: number;
}

export const goodQuality: LinkQuality = {
  delayMsMin: 0.2,
  delayMsMean: 0.6,
  slowFraction: 0.001,
  slowMsMax: 200,
  loss: 0,
  duplication: 0,
  reordering: 0,
  keepaliveMs: 4_000,
  windowBytes: 8 * 1024 * 1024,
};

export interface NetworkCounts {
  sent: number;
  delivered: number;
  lost: number;
  cut: number;
  doubled: number;
  overtaking: number;
  calls: number;
  brokenCalls: number;
}

/** What a process has of the network. */
export interface NetworkPort {
  readonly name: string;
  readonly transport: MessageTransport;
  readonly pods: PodClient;
  /** Messages that come before this is called are dropped. */
  onMessage(receive: (message: Message) => void): void;
  /** Calls that come before this is called are answered UNAVAILABLE. */
  serve(service: PodService): void;
  /** The process is gone: its connections break. */
  detach(): void;
}

interface Port extends NetworkPort {
  readonly gate: Gate;
  receive: ((message: Message) => void) | undefined;
  service: PodService | undefined;
}

/** One direction between two names. */
interface Link {
  lastArrivalMs: number;
  queuedBytes: number;
  /** How many have cut it; it carries again when all of them have healed it. */
  cutCount: number;
}

export class SimulatedNetwork {
  quality: LinkQuality;
  readonly counts: NetworkCounts = { sent: 0, delivered: 0, lost: 0, cut: 0, doubled: 0, overtaking: 0, calls: 0, brokenCalls: 0 };
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #ports = new Map<string, Port>();
  readonly #links = new Map<string, Link>();
  /** Sees every message that a process sends, also those that get lost. */
  onSend: (message: Message) => void = () => undefined;

  constructor(options: { readonly scheduler: Scheduler; readonly random: Random; readonly quality?: LinkQuality }) {
    this.#scheduler = options.scheduler;
    this.#random = options.random;
    this.quality = options.quality ?? goodQuality;
  }

  /** A process comes up under this name. */
  attach(name: string, gate: Gate): NetworkPort {
    assert(!this.#ports.has(name), `there is a process named ${name} already`);
    const callPod: CallPod = (to, method, request, signal, invoke) => gate.pass(this.#call(port, to, method, request, signal, invoke));
    const port: Port = {
      name,
      gate,
      receive: undefined,
      service: undefined,
      transport: {
        send: (message) => this.#send(port, message),
        queuedBytes: (pod) => this.#link(name, pod).queuedBytes,
      },
      pods: { pod: (to) => remotePod(callPod, to) },
      onMessage: (receive) => void (port.receive = receive),
      serve: (service) => void (port.service = service),
      detach: () => this.#detach(port),
    };
    this.#ports.set(name, port);
    return port;
  }

  /** Nothing goes from one to the other any more, also what is on its way, until it is healed as often as it was cut. */
  cut(from: string, to: string): void {
    this.#link(from, to).cutCount++;
  }

  heal(from: string, to: string): void {
    const link = this.#link(from, to);
    link.cutCount = Math.max(0, link.cutCount - 1);
  }

  healAll(): void {
    for (const link of this.#links.values()) link.cutCount = 0;
  }

  isCut(from: string, to: string): boolean {
    return this.#link(from, to).cutCount > 0;
  }

  // ------------------------------------------------------------ messages

  #send(from: Port, message: Message): void {
    if (from.gate.isDead) return;
    const to = message.to.pod;
    const link = this.#link(from.name, to);
    this.counts.sent++;
    this.onSend(message);
    this.#tell(from.name, `> ${to} ${describeMessage(message)}`);
    const bytes = sizeOf(message.body);
    if (link.cutCount > 0) return void this.counts.cut++;
    if (this.#chance(this.quality.loss) || link.queuedBytes + bytes > this.quality.windowBytes) return void this.counts.lost++;
    this.#carry(from, to, link, copyOf(message), bytes);
    if (!this.#chance(this.quality.duplication)) return;
    this.counts.doubled++;
    this.#carry(from, to, link, copyOf(message), bytes);
  }

  #carry(from: Port, to: string, link: Link, message: Message, bytes: number): void {
    const isOvertaking = this.#chance(this.quality.reordering);
    if (isOvertaking) this.counts.overtaking++;
    const ownMs = this.#scheduler.nowMs + this.#delayMs() * (isOvertaking ? 1 + 8 * this.#random.fraction() : 1);
    const arrivalMs = isOvertaking ? ownMs : Math.max(ownMs, link.lastArrivalMs);
    if (!isOvertaking) link.lastArrivalMs = arrivalMs;
    link.queuedBytes += bytes;
    this.#scheduler.after(arrivalMs - this.#scheduler.nowMs, () => {
      const port = this.#ports.get(to);
      if (link.cutCount > 0 || port === undefined) {
        link.queuedBytes -= bytes;
        return void this.counts[link.cutCount > 0 ? 'cut' : 'lost']++;
      }
      // While the receiver is paused the bytes stay in the window.
      port.gate.enter(() => {
        link.queuedBytes -= bytes;
        if (port.receive === undefined) return void this.counts.lost++;
        this.counts.delivered++;
        this.#tell(to, `< ${from.name} ${describeMessage(message)}`);
        port.receive(message);
      });
    });
  }

  #detach(port: Port): void {
    if (this.#ports.get(port.name) !== port) return;
    this.#ports.delete(port.name);
    // Connections end with a process: what it did not read is gone, and the window of the next one is empty.
    for (const [key, link] of this.#links) {
      const [from, to] = key.split(' > ');
      if (from === port.name || to === port.name) this.#links.set(key, { lastArrivalMs: 0, queuedBytes: 0, cutCount: link.cutCount });
    }
  }

  // ------------------------------------------------------------ calls

  #call<Request, Answer>(
    from: Port,
    to: string,
    method: string,
    request: Request,
    signal: AbortSignal,
    invoke: (service: PodService, request: Request, signal: AbortSignal) => Promise<Answer>,
  ): Promise<Answer> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    if (from.gate.isDead) return new Promise<Answer>(() => undefined);
    this.counts.calls++;
    const sent = copyOf(request);
    return new Promise((resolve, reject) => {
      const atServer = new AbortController();
      let target: Port | undefined;
      let isSettled = false;
      let keepalive: Timer | undefined;
      const settle = (how: string, outcome: () => void): void => {
        if (isSettled) return;
        isSettled = true;
        keepalive?.cancel();
        signal.removeEventListener('abort', onAbort);
        this.#tell(from.name, `${method} of ${to}: ${how}`);
        outcome();
      };
      const fail = (code: 'UNAVAILABLE' | 'OUTCOME_UNKNOWN', message: string): void => settle(code, () => reject(new ShoalError(code, `${to}: ${message}`)));
      /** The other side hears of it at once where it can, else when its own keepalive fails. */
      const cancelAtServer = (): void => {
        const delayMs = this.#isOpen(from.name, to) ? this.#delayMs() : this.#keepaliveMs();
        this.#scheduler.after(delayMs, () => target?.gate.enter(() => atServer.abort(new ShoalError('CANCELLED', 'the caller has gone'))));
      };
      const onAbort = (): void => {
        cancelAtServer();
        settle('aborted', () => reject(signal.reason as Error));
      };
      signal.addEventListener('abort', onAbort, { once: true });
      const watch = (): void => {
        keepalive = this.#scheduler.after(this.#keepaliveMs(), () => {
          const isAlive = target !== undefined && this.#ports.get(to) === target && !target.gate.isPaused && this.#isOpen(from.name, to);
          if (isAlive && !isLost && !from.gate.isDead) return watch();
          this.counts.brokenCalls++;
          cancelAtServer();
          fail('OUTCOME_UNKNOWN', 'the connection broke');
        });
      };
      let isLost = false;
      if ((!this.#ports.has(to) || !this.#isOpen(from.name, to)) && this.#chance(0.5)) {
        this.#scheduler.after(this.#delayMs(), () => fail('UNAVAILABLE', 'cannot be reached'));
        return;
      }
      watch();
      const answer = (outcome: { readonly value: Answer } | { readonly error: ShoalError }): void => {
        if (target!.gate.isDead) return;
        this.#deliver(to, from.name, (arrived) => {
          if (!arrived) return void (isLost = true);
          if ('error' in outcome) settle(outcome.error.code, () => reject(outcome.error));
          else settle('answered', () => resolve(outcome.value));
        });
      };
      this.#deliver(from.name, to, (arrived) => {
        target = this.#ports.get(to);
        if (!arrived || target === undefined) return void (isLost = true);
        const server = target;
        server.gate.enter(() => {
          this.#tell(to, `${method} from ${from.name}`);
          if (server.service === undefined) return answer({ error: new ShoalError('UNAVAILABLE', `${to} is starting`) });
          // A call that throws before it returns a promise has failed like any other.
          const { service } = server;
          const work = new Promise<Answer>((accept) => accept(invoke(service, sent, atServer.signal)));
          work.then(
            (value) => answer({ value: copyOf(value) }),
            (error: unknown) => answer({ error: errorAcross(error) }),
          );
        });
      });
    });
  }

  #deliver(from: string, to: string, then: (arrived: boolean) => void): void {
    const isLost = this.#chance(this.quality.loss);
    this.#scheduler.after(this.#delayMs(), () => then(!isLost && !this.isCut(from, to)));
  }

  #isOpen(a: string, b: string): boolean {
    return !this.isCut(a, b) && !this.isCut(b, a);
  }

  #keepaliveMs(): number {
    return this.quality.keepaliveMs * (0.5 + 0.5 * this.#random.fraction());
  }

  // ------------------------------------------------------------ chance

  #delayMs(): number {
    const { delayMsMin, delayMsMean, slowFraction, slowMsMax } = this.quality;
    if (this.#chance(slowFraction)) return delayMsMin + slowMsMax * this.#random.fraction();
    return delayMsMin - (delayMsMean - delayMsMin) * Math.log(1 - this.#random.fraction());
  }

  #chance(probability: number): boolean {
    return probability > 0 && this.#random.fraction() < probability;
  }

  #link(from: string, to: string): Link {
    const key = `${from} > ${to}`;
    let link = this.#links.get(key);
    if (link === undefined) this.#links.set(key, (link = { lastArrivalMs: 0, queuedBytes: 0, cutCount: 0 }));
    return link;
  }

  #tell(who: string, what: string): void {
    this.#scheduler.trace.line(who, what);
  }
}

/** Both directions between every name of one side and every name of the other. */
export function partition(network: SimulatedNetwork, side: readonly string[], otherSide: readonly string[]): void {
  for (const a of side) {
    for (const b of otherSide) {
      network.cut(a, b);
      network.cut(b, a);
    }
  }
}

/** One of the names, by chance: for faults. */
export function anyOf<T>(random: Random, values: readonly T[]): T {
  assert(values.length > 0, 'nothing to choose from');
  return values[below(random, values.length)]!;
}

function describeMessage({ shardUID, term, body }: Message): string {
  const about = `${shardUID.slice(0, 4)} t${term} ${body.kind}`;
  switch (body.kind) {
    case 'append':
      return `${about} ${body.prevSeq}.${body.prevTerm} +${body.entries.length} c${body.commitSeq}`;
    case 'stored':
      return `${about} ${body.throughSeq} a${body.appliedSeq}`;
    case 'fence':
      return `${about} #${body.number} v${body.configVersion}`;
    case 'report':
      return `${about} #${body.number} ${body.lastSeq} c${body.commitSeq} a${body.appliedSeq}`;
    case 'check':
    case 'checked':
      return `${about} ${body.round}`;
    default:
      return about;
  }
}
