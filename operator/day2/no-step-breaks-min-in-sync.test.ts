/**
 * Aim: whatever happens to pods, nodes, templates and sizes, no step that the operator takes about a pool leaves a shard with
 * fewer than minInSync members in sync that answer, if it had as many before; and once nothing happens any more, everything
 * that was asked for gets done. Pods, primaries and Kubernetes' own controllers are modelled as far as the decisions see
 * them; the decisions are the real ones, those about shards too. Two leaders may overlap: one of them acts on what was true
 * a while ago, as far as compare-and-swap and preconditions let it.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { authority, collection, member, primaryOn, shard as oneShard } from '../../pods/control/control.fixture.ts';
import { observedReport, type ObservedPod } from '../../pods/control/observation.ts';
import type { PlaceablePod } from '../../pods/control/placement.ts';
import { nextShardStep } from '../../pods/control/shard-step.ts';
import { noMutations } from '../../pods/kernel/mutations.ts';
import type { VectorShard } from '../../pods/metadata/objects.ts';
import { decideDrains } from './drain.ts';
import type { Drain, PodFacts, PoolFacts } from './pool-facts.ts';
import { nextRolloutStep } from './rollout.ts';
import { decideReplicas } from './scale.ts';

interface ModelPod {
  uid: string;
  revision: string;
  /** Rounds until its process answers. */
  startsIn: number;
  isEnding: boolean;
  node: string;
}

class Model {
  readonly pods = new Map<string, ModelPod>();
  readonly cordoned = new Set<string>();
  shards: { shard: VectorShard; replicas: number; minInSync: number }[] = [];
  revision = 'r0';
  wanted: number;
  setReplicas: number;
  operation: PoolFacts['operation'];
  drains: Drain[] = [];
  #uids = 0;
  nowMs = 0;
  readonly evictions: string[] = [];

  constructor(podCount: number, shards: readonly { replicas: number; minInSync: number }[]) {
    this.wanted = podCount;
    this.setReplicas = podCount;
    for (let ordinal = 0; ordinal < podCount; ordinal++) this.makePod(`p-${ordinal}`, 0);
    this.shards = shards.map(({ replicas, minInSync }, index) => {
      const pods = Array.from({ length: replicas }, (_, i) => `p-${(index + i) % podCount}`);
      const made = oneShard({ replicas: pods, minInSync }, { authority: authority({ primary: primaryOn(pods[0]!), inSync: pods.map(member) }) });
      return { shard: { ...made, metadata: { ...made.metadata, name: `s${index}`, uid: `s${index}` } }, replicas, minInSync };
    });
  }

  makePod(name: string, startsIn: number): void {
    this.pods.set(name, { uid: `u${++this.#uids}`, revision: this.revision, startsIn, isEnding: false, node: `n-${this.#uids % 5}` });
  }

  isServing(name: string): boolean {
    const pod = this.pods.get(name);
    return pod !== undefined && pod.startsIn === 0 && !pod.isEnding;
  }

  /** Shards that have enough members in sync that answer. */
  served(): Set<string> {
    return new Set(this.shards.filter(({ shard }) => this.#inSync(shard).filter((name) => this.isServing(name)).length >= shard.spec.minInSync).map(({ shard }) => shard.metadata.name));
  }

  #inSync({ status }: VectorShard): string[] {
    return status.authority!.inSync.map(({ pod }) => pod);
  }

  facts(): PoolFacts {
    const pods = [...this.pods].map(([name, pod]): PodFacts => {
      const isServing = this.isServing(name);
      const named = this.shards.filter(({ shard }) => shard.spec.replicas.includes(name) && shard.spec.leaving?.includes(name) !== true);
      return {
        name,
        ordinal: Number(name.slice(2)),
        uid: pod.uid,
        revision: pod.revision,
        isReady: isServing && named.every(({ shard }) => this.#inSync(shard).includes(name)),
        isServing,
        isEnding: pod.isEnding,
        node: { name: pod.node, isCordoned: this.cordoned.has(pod.node), domains: [pod.node] },
      };
    });
    return {
      pool: 'p',
      replicas: this.wanted,
      allowsOutage: false,
      ...(this.operation === undefined ? {} : { operation: this.operation }),
      drains: this.drains,
      statefulSet: { uid: 'set', replicas: this.setReplicas, updateRevision: this.revision },
      pods: pods.sort((a, b) => a.ordinal - b.ordinal),
      shards: this.shards,
      nowMs: this.nowMs,
    };
  }

  #heard(): Map<string, ObservedPod> {
    return new Map(
      [...this.pods].map(([name, pod]): [string, ObservedPod] => {
        const isSilent = !this.isServing(name);
        const replicas = this.shards
          .filter(({ shard }) => shard.spec.replicas.includes(name) || this.#inSync(shard).includes(name))
          .map(({ shard }) => {
            const { authority: present } = shard.status;
            return { collectionUID: 'c', shardUID: shard.metadata.uid, incarnation: member(name).incarnation, role: present!.primary.pod === name ? ('primary' as const) : ('backup' as const), term: present!.term, lastSeq: 1, commitSeq: 1, appliedSeq: 1, configVersion: present!.configVersion, quarantined: false, blockedMs: 0, pointCount: 0 };
          });
        return [name, { name, isSilent, isReachable: !isSilent, report: observedReport({ pod: name, podUID: pod.uid, session: `session-${name}`, freeBytes: 2 ** 30, replicas }, this.nowMs, this.nowMs) }];
      }),
    );
  }

  /** One look of the operator at the pool; `known` is what it decides by. */
  look(known: PoolFacts): void {
    const drains = decideDrains(known, this.#heard());
    this.drains = drains;
    const scale = decideReplicas({ ...this.facts(), drains: known.drains });
    if (scale.replicas !== this.setReplicas) this.setReplicas = scale.replicas;
    const step = nextRolloutStep(known);
    // Compare-and-swap: whoever did not see the newest record writes none.
    if (JSON.stringify(known.operation) !== JSON.stringify(this.operation)) return;
    if (step.action === 'begin') this.operation = { id: 'o', pod: step.pod, podUID: step.podUID, step: 'make-ready' };
    else if (step.action === 'advance') this.operation = { ...this.operation!, step: step.step };
    else if (step.action === 'end') this.operation = undefined;
    else if (step.action === 'evict') {
      const again = nextRolloutStep(this.facts());
      if (again.action !== 'evict' || again.podUID !== step.podUID) return;
      this.#evict(step.pod, step.podUID);
    }
  }

  /** The API server's part: the UID, and the disruption budget of one pod at a time. */
  #evict(name: string, uid: string): void {
    const pod = this.pods.get(name);
    if (pod?.uid !== uid) return;
    const unready = this.facts().pods.filter((each) => !each.isReady && each.name !== name).length + (this.setReplicas - this.pods.size);
    if (unready > 0) return;
    const before = this.served();
    pod.isEnding = true;
    this.evictions.push(name);
    const after = this.served();
    for (const shard of before) assert(after.has(shard), `evicting ${name} took ${shard} below minInSync`);
    this.operation = { ...this.operation!, step: 'await' };
  }

  /** Steps of the shards: the controller's, and what primaries do about their members. */
  moveShards(): void {
    const facts = this.facts();
    const draining = new Set(this.drains.filter(({ phase }) => phase === 'Draining' || phase === 'Drained').map(({ pod }) => pod));
    const closed = new Set(this.drains.map(({ pod }) => pod));
    const pods = facts.pods.map((pod): PlaceablePod => ({
      name: pod.name,
      domains: [],
      isDraining: draining.has(pod.name),
      isClosed: closed.has(pod.name) || pod.isEnding || pod.ordinal >= this.wanted || pod.node!.isCordoned,
      isBeingReplaced: this.operation?.pod === pod.name && this.operation.podUID === pod.uid,
      isSilent: !pod.isServing,
    }));
    const heard = this.#heard();
    this.shards = this.shards.map((use) => {
      const load = new Map<string, number>();
      for (const { shard } of this.shards) for (const name of shard.spec.replicas) load.set(name, (load.get(name) ?? 0) + 1);
      let { shard } = use;
      const before = this.#counts(shard);
      const step = nextShardStep(
        { shard, readAtMs: this.nowMs, collection: collection(use.replicas, use.minInSync, [shard.metadata.uid]), pods: heard, placement: { pods, load }, primaryCounts: new Map(), primaryKnownAtMs: 0, isPrimaryGone: false, nowMs: this.nowMs, storeAnswersSinceMs: 0 },
        noMutations,
      );
      const grant = (name: string): VectorShard => ({ ...shard, status: { ...shard.status, authority: { ...shard.status.authority!, term: shard.status.authority!.term + 1, primary: { ...primaryOn(name), podUID: this.pods.get(name)!.uid } } } });
      if (step.action === 'switch') shard = grant(step.to.pod);
      else if (step.action === 'promote') shard = grant(step.authority.primary.pod);
      else if (step.action === 'change-spec') shard = { ...shard, spec: step.spec };
      assert(this.#counts(shard) >= Math.min(before, shard.spec.minInSync), `${step.because}: ${shard.metadata.name} lost members in sync`);
      return { ...use, shard: this.#asPrimary(shard) };
    });
  }

  #counts(shard: VectorShard): number {
    return this.#inSync(shard).filter((name) => this.isServing(name)).length;
  }

  /** W4, W5, A1, A2: who fails or leaves is taken out as far as that is allowed, who is there is let in. */
  #asPrimary(shard: VectorShard): VectorShard {
    const { authority: present } = shard.status;
    const leads = present!.primary.pod;
    if (!this.isServing(leads)) return shard;
    const isLeaving = (name: string): boolean => shard.spec.leaving?.includes(name) === true;
    let inSync = present!.inSync;
    const joiner = shard.spec.replicas.find((name) => this.isServing(name) && !isLeaving(name) && !inSync.some(({ pod }) => pod === name));
    if (joiner !== undefined) inSync = [...inSync, member(joiner)];
    const out = inSync.find(({ pod }) => pod !== leads && (isLeaving(pod) || !this.isServing(pod)));
    if (out !== undefined && inSync.length > Math.max(1, shard.spec.minInSync)) inSync = inSync.filter((each) => each !== out);
    if (inSync === present!.inSync) return shard;
    return { ...shard, status: { ...shard.status, authority: { ...present!, inSync, configVersion: present!.configVersion + 1 } } };
  }

  /** Kubernetes: ended pods go, the StatefulSet makes those that are missing and ends those that are too many. */
  pass(): void {
    this.nowMs += 1_000;
    for (const [name, pod] of this.pods) {
      if (pod.isEnding) this.pods.delete(name);
      else if (pod.startsIn > 0) pod.startsIn--;
    }
    for (let ordinal = 0; ordinal < this.setReplicas; ordinal++) if (!this.pods.has(`p-${ordinal}`)) this.makePod(`p-${ordinal}`, 2);
    for (const [name, pod] of this.pods) {
      if (Number(name.slice(2)) < this.setReplicas) continue;
      const named = this.shards.filter(({ shard }) => shard.spec.replicas.includes(name) || this.#inSync(shard).includes(name));
      assert.deepEqual(named.map(({ shard }) => shard.metadata.name), [], `${name} was scaled away with replicas on it`);
      pod.isEnding = true;
    }
  }

  isDone(): boolean {
    const { operation, drains } = this;
    const pods = [...this.pods.values()];
    return operation === undefined && this.setReplicas === this.wanted && pods.every((pod) => pod.revision === this.revision && pod.startsIn === 0) && pods.length === this.wanted && drains.every(({ phase }) => phase === 'Drained') && this.shards.every(({ shard, replicas }) => shard.spec.replicas.length === replicas && this.#counts(shard) === replicas);
  }
}

type Event = { readonly kind: 'template' | 'pass' | 'stale' } | { readonly kind: 'scale'; readonly to: number } | { readonly kind: 'crash' | 'cordon' | 'uncordon' | 'ask' | 'recall'; readonly pod: number };

const events = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.constant<Event>({ kind: 'pass' }) },
    { weight: 2, arbitrary: fc.constant<Event>({ kind: 'stale' }) },
    { weight: 2, arbitrary: fc.constant<Event>({ kind: 'template' }) },
    { weight: 2, arbitrary: fc.integer({ min: 3, max: 6 }).map((to): Event => ({ kind: 'scale', to })) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('crash' as const, 'cordon' as const, 'uncordon' as const, 'ask' as const, 'recall' as const), pod: fc.integer({ min: 0, max: 5 }) }) },
  ),
  { maxLength: 60 },
);
const shards = fc.array(fc.constantFrom({ replicas: 3, minInSync: 2 }, { replicas: 3, minInSync: 1 }, { replicas: 2, minInSync: 2 }, { replicas: 1, minInSync: 1 }, { replicas: 2, minInSync: 1 }), { minLength: 1, maxLength: 5 });

function withoutRequest({ request: _, ...drain }: Drain): Drain {
  return drain;
}

function apply(model: Model, event: Event): void {
  switch (event.kind) {
    case 'template':
      model.revision = `r${Number(model.revision.slice(1)) + 1}`;
      break;
    case 'scale':
      model.wanted = event.to;
      break;
    case 'crash': {
      const pod = model.pods.get(`p-${event.pod}`);
      if (pod !== undefined) pod.startsIn = 3;
      break;
    }
    case 'cordon':
    case 'uncordon': {
      const node = model.pods.get(`p-${event.pod}`)?.node;
      if (node !== undefined) model.cordoned[event.kind === 'cordon' ? 'add' : 'delete'](node);
      break;
    }
    case 'ask':
      if (model.pods.has(`p-${event.pod}`)) model.drains = [...model.drains.filter(({ pod }) => pod !== `p-${event.pod}`), { pod: `p-${event.pod}`, request: 'r', phase: 'Requested', left: 0, message: '' }];
      break;
    case 'recall':
      model.drains = model.drains.map((drain) => (drain.pod === `p-${event.pod}` ? withoutRequest(drain) : drain));
      break;
    default:
  }
}

test('no step breaks minInSync, and everything gets done once nothing happens any more', { timeout: 180_000 }, () => {
  const seed = Number(process.env['SHOAL_SEED'] ?? 1 + Math.floor(Math.random() * 2 ** 31));
  let evictionCount = 0;
  fc.assert(
    fc.property(fc.integer({ min: 3, max: 5 }), shards, events, (podCount, kinds, happenings) => {
      const model = new Model(podCount, kinds);
      let earlier = model.facts();
      for (const event of happenings) {
        apply(model, event);
        if (event.kind === 'stale') model.look(earlier);
        model.look(model.facts());
        earlier = model.facts();
        model.moveShards();
        if (event.kind === 'pass') model.pass();
      }
      // Nobody wants anything more, and there is room for everything.
      model.cordoned.clear();
      model.drains = model.drains.map(withoutRequest);
      model.wanted = Math.max(4, model.wanted);
      let rounds = 0;
      while (!model.isDone() && rounds++ < 400) {
        model.look(model.facts());
        model.moveShards();
        model.pass();
      }
      assert(model.isDone(), `it does not end: ${nextRolloutStep(model.facts()).because}; ${JSON.stringify(model.drains)}; ${JSON.stringify(model.operation)}; ${JSON.stringify(model.shards.map(({ shard }) => [shard.spec, shard.status.authority]))}`);
      evictionCount += model.evictions.length;
    }),
    { seed, numRuns: 300 },
  );
  assert(evictionCount > 300, `only ${evictionCount} evictions: nothing was tested`);
});
