/**
 * Who leads among several operators: the holder of one Lease, kept by compare-and-swap. No clock is compared with another
 * one's:
 *
 *     the holder       renews every `leaseRenewMs`, and counts its time from before the renewal was sent: it stops by
 *                      `leaseHeldMsMax` after that, whatever became of the answer
 *     the candidates   take the Lease once they have seen the same record for `leaseTakeoverMs`, by their own clock, counted
 *                      from when they first saw it, which is later than when it was sent
 *
 * Because `leaseHeldMsMax` is less than `leaseTakeoverMs`, the holder has stopped before anybody takes over, unless its
 * process stood still in the middle of a request: so what is dangerous is recorded by compare-and-swap (operation.ts).
 * A holder that stops in order gives the Lease back, so that the next need not wait.
 */

import { sleep, type Clock, type Timer } from '../../pods/kernel/clock.ts';
import { hasCode, ShoalError } from '../../pods/kernel/errors.ts';
import { limits } from '../../pods/kernel/limits.ts';
import type { Logger } from '../../pods/kernel/logger.ts';
import type { KubeClient } from '../../pods/kube/client.ts';
import { pathOf } from './kinds.ts';

export interface LeaseOptions {
  readonly client: Pick<KubeClient, 'read' | 'write'>;
  readonly namespace: string;
  readonly name: string;
  /** Of this process, never of another one: with a random part. */
  readonly identity: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The Lease was held and is not any more: the process must end. Not called after `close`. */
  readonly onLost: (because: string) => void;
}

interface LeaseObject {
  readonly metadata: { readonly name: string; readonly resourceVersion?: string };
  readonly spec?: { readonly holderIdentity?: string; readonly leaseTransitions?: number; readonly acquireTime?: string; readonly renewTime?: string; readonly leaseDurationSeconds?: number };
}

export class Lease {
  readonly #options: LeaseOptions;
  readonly #stop = new AbortController();
  /** While it is held: until when, by the monotonic clock. */
  #heldUntilMs: number | undefined;
  #expiry: Timer | undefined;
  #isLost = false;
  #renewing: Promise<void> | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Whether this process leads at this instant. */
  get isHeld(): boolean {
    return this.#heldUntilMs !== undefined && !this.#isLost && this.#options.clock.monotonicMs() < this.#heldUntilMs;
  }

  /** UNAVAILABLE unless this process leads at this instant: for whatever is about to send a request as the leader. */
  assertHeld(): void {
    if (!this.isHeld) throw new ShoalError('UNAVAILABLE', 'this operator does not lead any more');
  }

  /** Resolves once it is held. Rejects when `close` was called. */
  async acquire(): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#stop;
    let seen: { readonly version: string; readonly sinceMs: number } | undefined;
    for (;;) {
      signal.throwIfAborted();
      try {
        const present = await this.#read();
        const version = present?.metadata.resourceVersion ?? 'absent';
        if (seen?.version !== version) seen = { version, sinceMs: clock.monotonicMs() };
        const isFree = present === undefined || (present.spec?.holderIdentity ?? '') === '';
        if (isFree || clock.monotonicMs() - seen.sinceMs >= limits.leaseTakeoverMs) {
          const startedMs = clock.monotonicMs();
          await this.#write(present, true);
          this.#held(startedMs);
          logger.info({ lease: this.#options.name, identity: this.#options.identity }, 'this operator leads');
          this.#renewing = this.#keep();
          return;
        }
      } catch (error) {
        if (signal.aborted) throw error;
        // A conflict: another candidate was faster.
        if (!hasCode(error, 'CONFLICT')) logger.warn({ error }, 'the Lease cannot be had; trying again');
      }
      await sleep(clock, limits.leaseWatchMs, signal);
    }
  }

  /** Gives it back if it is held. Whoever leads has stopped all work before. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('closed'));
    this.#expiry?.cancel();
    await this.#renewing?.catch(() => undefined);
    if (!this.isHeld) return;
    this.#heldUntilMs = undefined;
    try {
      const present = await this.#read();
      if (present?.spec?.holderIdentity === this.#options.identity) await this.#write(present, false);
    } catch (error) {
      this.#options.logger.warn({ error }, 'the Lease could not be given back; another operator takes it when it has run out');
    }
  }

  async #keep(): Promise<void> {
    const { clock, logger, identity } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted && !this.#isLost) {
      await sleep(clock, limits.leaseRenewMs, signal).catch(() => undefined);
      if (signal.aborted || this.#isLost) return;
      const startedMs = clock.monotonicMs();
      try {
        const present = await this.#read();
        if (present?.spec?.holderIdentity !== identity) return this.#lose(`the Lease is held by ${present?.spec?.holderIdentity || 'nobody'} now`);
        await this.#write(present, true);
        this.#held(startedMs);
      } catch (error) {
        // Whoever else may have it by now shows at the next read; without one, the time runs out.
        logger.warn({ error }, 'the Lease could not be renewed; trying again');
      }
    }
  }

  #held(startedMs: number): void {
    const { clock } = this.#options;
    if (this.#isLost || this.#stop.signal.aborted) return;
    this.#heldUntilMs = startedMs + limits.leaseHeldMsMax;
    this.#expiry?.cancel();
    this.#expiry = clock.after(this.#heldUntilMs - clock.monotonicMs(), () => this.#lose(`the Lease could not be renewed for ${limits.leaseHeldMsMax} ms`));
  }

  #lose(because: string): void {
    if (this.#isLost || this.#stop.signal.aborted) return;
    this.#isLost = true;
    this.#expiry?.cancel();
    this.#options.onLost(because);
  }

  async #read(): Promise<LeaseObject | undefined> {
    const { client, namespace, name } = this.#options;
    return (await client.read(pathOf('Lease', namespace, name))) as LeaseObject | undefined;
  }

  async #write(present: LeaseObject | undefined, isHolding: boolean): Promise<void> {
    const { client, namespace, name, identity, clock } = this.#options;
    // For people; nobody compares it with a clock.
    const now = new Date(clock.nowMs()).toISOString().replace('Z', '000Z');
    const isNew = present?.spec?.holderIdentity !== identity;
    const spec = {
      holderIdentity: isHolding ? identity : '',
      leaseDurationSeconds: Math.ceil(limits.leaseTakeoverMs / 1_000),
      renewTime: now,
      acquireTime: isNew ? now : (present?.spec?.acquireTime ?? now),
      leaseTransitions: (present?.spec?.leaseTransitions ?? 0) + (isNew && isHolding && present !== undefined ? 1 : 0),
    };
    const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace, ...(present === undefined ? {} : { resourceVersion: present.metadata.resourceVersion }) }, spec };
    if (present === undefined) await client.write({ method: 'POST', path: pathOf('Lease', namespace), body });
    else await client.write({ method: 'PUT', path: pathOf('Lease', namespace, name), body });
  }
}
