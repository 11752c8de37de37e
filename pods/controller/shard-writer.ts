/**
 * Carries out a decision about a shard: each is one compare-and-swap of the version that was decided upon, then word to
 * the pods that have to act. What fails is decided anew from a new read; no write is sent twice.
 */

import type { Clock } from '../kernel/clock.ts';
import { startDeadline, withSignal } from '../kernel/deadline.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import type { PodClient } from '../domain/pod-service.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import { shardFinalizer, type Condition, type ShardAuthority, type VectorShard } from '../metadata/objects.ts';
import type { ShardStep } from '../control/shard-facts.ts';
import { standingStop } from '../control/shard-facts.ts';
import { confirmSwitchover } from '../control/switchover.ts';
import { podsOf } from './known-shards.ts';
import type { PodProber } from './pod-prober.ts';

export interface ShardWriterOptions {
  readonly metadata: ClusterMetadata;
  readonly pods: PodClient;
  readonly prober: PodProber;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** `shard`: the object after a write. */
export interface StepOutcome {
  readonly shard?: VectorShard;
  /** The session that was granted a term. */
  readonly granted?: string;
}

type SwitchStep = Extract<ShardStep, { action: 'switch' }>;

export class ShardWriter {
  readonly #options: ShardWriterOptions;
  /** By shard and pod: whether to say it once more afterwards, because it was asked for meanwhile. */
  readonly #talks = new Map<string, boolean>();

  constructor(options: ShardWriterOptions) {
    this.#options = options;
  }

  async carryOut(shard: VectorShard, step: ShardStep): Promise<StepOutcome> {
    switch (step.action) {
      case 'none':
      case 'wait':
        return {};
      case 'nudge':
        this.nudge(shard.metadata.uid, step.pods);
        return {};
      case 'bootstrap':
      case 'promote':
        return this.#grant(shard, step.authority, step.because);
      case 'switch':
        return this.#switchOver(shard, step);
      case 'change-spec': {
        const changed = await this.#options.metadata.shards.replace({ ...shard, spec: step.spec });
        this.#say(changed, 'changed what the shard shall be', step.because);
        this.nudge(shard.metadata.uid, new Set([...podsOf(shard), ...podsOf(changed)]));
        return { shard: changed };
      }
      case 'stop':
        return this.#stop(shard, step);
      case 'release': {
        const finalizers = shard.metadata.finalizers.filter((finalizer) => finalizer !== shardFinalizer);
        await this.#options.metadata.shards.replace({ ...shard, metadata: { ...shard.metadata, finalizers } });
        return {};
      }
    }
  }

  /** The pods look at the object; what they say afterwards comes with their next report. Does not wait for them. */
  nudge(shardUID: string, pods: Iterable<string>): void {
    for (const pod of pods) {
      const talk = `${shardUID} ${pod}`;
      if (this.#talks.has(talk)) this.#talks.set(talk, true);
      else void this.#talk(talk, shardUID, pod);
    }
  }

  async #talk(talk: string, shardUID: string, pod: string): Promise<void> {
    do {
      this.#talks.set(talk, false);
      // A pod that cannot be told sees it by its own watch.
      await this.tell(shardUID, pod).catch(() => undefined);
    } while (this.#talks.get(talk) === true);
    this.#talks.delete(talk);
    this.#options.prober.askSoon(pod);
  }

  /** Resolves when the pod has taken the object over. */
  async tell(shardUID: string, pod: string): Promise<void> {
    const deadline = startDeadline(this.#options.clock, limits.requestTimeoutMsDefault);
    try {
      await withSignal(this.#options.pods.pod(pod).nudge(shardUID, deadline.signal), deadline.signal);
    } finally {
      deadline.settle();
    }
  }

  async #grant(shard: VectorShard, authority: ShardAuthority, because: string): Promise<StepOutcome> {
    // A request to be relieved is answered; whatever stopped promotions was overruled if it stood.
    const { handover: _answered, conditions = [], ...status } = shard.status;
    const stop = standingStop(shard);
    const left = stop === undefined ? conditions : conditions.filter(({ type }) => type !== stop.condition);
    const granted = await this.#options.metadata.shards.replaceStatus({
      ...shard,
      status: { ...status, phase: 'Ready', authority, ...(left.length === 0 ? {} : { conditions: left }) },
    });
    this.#say(granted, `term ${authority.term} is granted to ${authority.primary.pod}`, because);
    this.nudge(shard.metadata.uid, new Set([authority.primary.pod, ...podsOf(shard)]));
    return { shard: granted, granted: authority.primary.session };
  }

  /** Rule S1. Whatever fails: the primary's stop expires, and it goes on. */
  async #switchOver(shard: VectorShard, { to, because }: SwitchStep): Promise<StepOutcome> {
    const { metadata, pods, prober, clock } = this.#options;
    const { uid, name } = shard.metadata;
    const { primary } = shard.status.authority!;
    const deadline = startDeadline(clock, limits.handoverMsMax);
    try {
      const stopped = await withSignal(pods.pod(primary.pod).stopWrites(uid, deadline.signal), deadline.signal);
      const target = await withSignal(prober.ask(to.pod), deadline.signal);
      const present = await withSignal(metadata.shards.get(name), deadline.signal);
      if (present?.metadata.uid !== uid) return {};
      const confirmed = confirmSwitchover(present, to, stopped, target);
      if (confirmed.action === 'promote') return await this.#grant(present, confirmed.authority, `${because}; ${confirmed.because}`);
      this.#say(present, 'the switchover is off', confirmed.because);
      return {};
    } finally {
      deadline.settle();
    }
  }

  async #stop(shard: VectorShard, { condition, because }: Extract<ShardStep, { action: 'stop' }>): Promise<StepOutcome> {
    if (standingStop(shard)?.condition === condition) return {};
    const { clock, metadata, logger } = this.#options;
    const stated: Condition = {
      type: condition,
      status: 'True',
      reason: condition,
      message: because,
      observedGeneration: shard.metadata.generation,
      lastTransitionTime: `${new Date(clock.nowMs()).toISOString().slice(0, 19)}Z`,
    };
    const others = (shard.status.conditions ?? []).filter(({ type }) => type !== condition);
    logger.error({ shard: shard.metadata.name, shardUID: shard.metadata.uid, condition, because }, 'the shard is left alone until a human has looked');
    const phase = condition === 'Lost' ? 'Lost' : shard.status.phase;
    return { shard: await metadata.shards.replaceStatus({ ...shard, status: { ...shard.status, phase, conditions: [...others, stated] } }) };
  }

  #say({ metadata: { name, uid } }: VectorShard, message: string, because: string): void {
    this.#options.logger.info({ shard: name, shardUID: uid, because }, message);
  }
}
