/**
 * Asks every known pod for its report, over and over, and tells who has fallen silent. A pod is silent when a question has
 * gone unanswered for `limits.suspectAfterMs`, and so have all after it; time in which this process itself stood still does
 * not count against anybody.
 */

import type { Clock, Timer } from '../kernel/clock.ts';
import { startDeadline, withSignal } from '../kernel/deadline.ts';
import { limits } from '../kernel/limits.ts';
import type { PodClient } from '../domain/pod-service.ts';
import { observedReport, type ObservedPod } from '../control/observation.ts';

export interface PodProberOptions {
  readonly pods: PodClient;
  readonly clock: Clock;
  /** After an answer, and when a pod falls silent or out of reach. */
  readonly onChange: (now: ObservedPod, before: ObservedPod) => void;
}

interface Probed {
  observed: ObservedPod;
  /** When the question was asked that had the newest answer; at first, when it was first asked. Moved by standstills. */
  quietSinceMs: number;
  /** When the newest question was asked whose outcome is known. */
  settledAskedAtMs: number;
  newestAskedAtMs: number;
  openCount: number;
  soonTimer: Timer | undefined;
}

/** A hung pod has several questions open, but not without bound. */
const openCountMax = 4;
/** Without an answer for so long nobody is promoted there, long before the pod counts as silent. */
const reachableMs = 2.5 * limits.probeIntervalMs;
/** `askSoon` asks no more often than this, and less often where a report is long, so that asking stays a small part of the work. */
const soonMs = (replicaCount: number): number => 5 + replicaCount / 50;

export class PodProber {
  readonly #options: PodProberOptions;
  readonly #probed = new Map<string, Probed>();
  readonly #observed = new Map<string, ObservedPod>();
  #timer: Timer | undefined;
  #tickDueMs = 0;
  #isClosed = false;

  constructor(options: PodProberOptions) {
    this.#options = options;
  }

  get pods(): ReadonlyMap<string, ObservedPod> {
    return this.#observed;
  }

  start(): void {
    this.#schedule();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  /** Asks the pod from now on. */
  know(name: string): void {
    if (this.#isClosed || this.#probed.has(name)) return;
    const nowMs = this.#options.clock.monotonicMs();
    const observed = { name, isSilent: false, isReachable: false };
    this.#probed.set(name, { observed, quietSinceMs: nowMs, settledAskedAtMs: -Infinity, newestAskedAtMs: -Infinity, openCount: 0, soonTimer: undefined });
    this.#observed.set(name, observed);
    void this.ask(name);
  }

  forget(name: string): void {
    this.#probed.delete(name);
    this.#observed.delete(name);
  }

  /** What is known of the pod after one more question. */
  async ask(name: string): Promise<ObservedPod | undefined> {
    const pod = this.#probed.get(name);
    if (pod === undefined || this.#isClosed) return undefined;
    const { clock, pods } = this.#options;
    const askedAtMs = clock.monotonicMs();
    const deadline = startDeadline(clock, limits.suspectAfterMs);
    pod.newestAskedAtMs = askedAtMs;
    pod.openCount++;
    try {
      const report = observedReport(await withSignal(pods.pod(name).report(deadline.signal), deadline.signal), askedAtMs, clock.monotonicMs());
      pod.quietSinceMs = Math.max(pod.quietSinceMs, askedAtMs);
      if (askedAtMs >= pod.settledAskedAtMs) {
        pod.settledAskedAtMs = askedAtMs;
        this.#observe(pod, { name, isSilent: false, isReachable: true, report });
      }
    } catch {
      // What is wrong with the pod is its own to say; here it counts only that it did not answer.
      if (askedAtMs >= pod.settledAskedAtMs) {
        pod.settledAskedAtMs = askedAtMs;
        this.#observe(pod, { ...pod.observed, isReachable: false });
      }
    } finally {
      deadline.settle();
      pod.openCount--;
    }
    return pod.observed;
  }

  /** For many who want to hear from the same pod: one question answers all who came before it. */
  askSoon(name: string): void {
    const pod = this.#probed.get(name);
    if (pod === undefined || pod.soonTimer !== undefined || this.#isClosed) return;
    const { clock } = this.#options;
    const waitMs = pod.newestAskedAtMs + soonMs(pod.observed.report?.replicas.size ?? 0) - clock.monotonicMs();
    if (waitMs <= 0) return this.#askUnlessMany(name, pod);
    pod.soonTimer = clock.after(waitMs, () => {
      pod.soonTimer = undefined;
      this.#askUnlessMany(name, pod);
    });
  }

  #askUnlessMany(name: string, pod: Probed): void {
    if (pod.openCount < openCountMax) void this.ask(name);
  }

  #observe(pod: Probed, now: ObservedPod): void {
    const before = pod.observed;
    pod.observed = now;
    if (this.#isClosed || this.#probed.get(now.name) !== pod) return;
    this.#observed.set(now.name, now);
    this.#options.onChange(now, before);
  }

  #schedule(): void {
    this.#tickDueMs = this.#options.clock.monotonicMs() + limits.probeIntervalMs;
    this.#timer = this.#options.clock.after(limits.probeIntervalMs, () => this.#tick());
  }

  #tick(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const lateMs = nowMs - this.#tickDueMs;
    for (const [name, pod] of this.#probed) {
      if (lateMs > limits.probeIntervalMs) pod.quietSinceMs += lateMs;
      const quietMs = nowMs - pod.quietSinceMs;
      const { observed } = pod;
      if (quietMs >= limits.suspectAfterMs && !observed.isSilent) this.#observe(pod, { ...observed, isSilent: true, isReachable: false });
      else if (quietMs >= reachableMs && observed.isReachable) this.#observe(pod, { ...observed, isReachable: false });
      this.#askUnlessMany(name, pod);
    }
    this.#schedule();
  }
}
