/**
 * Which replica a read goes to: of two drawn at random the one with fewer requests of this process under way, then the
 * one that answered faster lately. A replica that just failed is passed over while there are others.
 *
 * (Two random choices: M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001.)
 */

import type { Clock } from '../kernel/clock.ts';
import { limits } from '../kernel/limits.ts';
import { below, type Random } from '../kernel/random.ts';

interface Replica {
  /** Exponentially weighted; it fades with time, so that a replica that was slow once is tried again. */
  latencyMs: number;
  measuredAtMs: number;
  avoidUntilMs: number;
}

const newestWeight = 0.2;
const halfLifeMs = 5_000;

export class ReplicaChoice {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #inFlight = new Map<string, number>();
  /** By shard and pod. */
  readonly #replicas = new Map<string, Replica>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** One of `pods`, of which there is at least one. */
  choose(shardUID: string, pods: readonly string[]): string {
    const nowMs = this.#clock.monotonicMs();
    const sound = pods.filter((pod) => (this.#replicas.get(keyOf(shardUID, pod))?.avoidUntilMs ?? 0) <= nowMs);
    const candidates = sound.length > 0 ? sound : pods;
    if (candidates.length === 1) return candidates[0]!;
    const at = below(this.#random, candidates.length);
    const distance = 1 + below(this.#random, candidates.length - 1);
    const a = candidates[at]!;
    const b = candidates[(at + distance) % candidates.length]!;
    const difference = this.inFlightCount(a) - this.inFlightCount(b) || this.#recentMs(shardUID, a, nowMs) - this.#recentMs(shardUID, b, nowMs);
    return difference <= 0 ? a : b;
  }

  inFlightCount(pod: string): number {
    return this.#inFlight.get(pod) ?? 0;
  }

  began(pod: string): void {
    this.#inFlight.set(pod, this.inFlightCount(pod) + 1);
  }

  ended(pod: string): void {
    const count = this.inFlightCount(pod) - 1;
    if (count > 0) this.#inFlight.set(pod, count);
    else this.#inFlight.delete(pod);
  }

  /** It answered, or was given up after so long without an answer. */
  measured(shardUID: string, pod: string, tookMs: number): void {
    const replica = this.#replica(shardUID, pod);
    const nowMs = this.#clock.monotonicMs();
    const before = faded(replica, nowMs);
    replica.latencyMs = replica.measuredAtMs === -Infinity ? tookMs : before + newestWeight * (tookMs - before);
    replica.measuredAtMs = nowMs;
  }

  failed(shardUID: string, pod: string): void {
    this.#replica(shardUID, pod).avoidUntilMs = this.#clock.monotonicMs() + limits.replicaAvoidedMs;
  }

  #recentMs(shardUID: string, pod: string, nowMs: number): number {
    const replica = this.#replicas.get(keyOf(shardUID, pod));
    return replica === undefined ? 0 : faded(replica, nowMs);
  }

  /** The oldest makes room: what is known of a replica is worth no more than a few requests. */
  #replica(shardUID: string, pod: string): Replica {
    const key = keyOf(shardUID, pod);
    let replica = this.#replicas.get(key);
    if (replica === undefined) {
      replica = { latencyMs: 0, measuredAtMs: -Infinity, avoidUntilMs: -Infinity };
      this.#replicas.set(key, replica);
      if (this.#replicas.size > limits.measuredReplicaCountMax) this.#replicas.delete(this.#replicas.keys().next().value!);
    }
    return replica;
  }
}

function faded({ latencyMs, measuredAtMs }: Replica, nowMs: number): number {
  return measuredAtMs === -Infinity ? 0 : latencyMs * 0.5 ** ((nowMs - measuredAtMs) / halfLifeMs);
}

function keyOf(shardUID: string, pod: string): string {
  return `${shardUID}/${pod}`;
}
