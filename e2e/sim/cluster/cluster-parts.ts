/** The classes of production as processes of the simulation: data pods, gateways, controllers. */

import { openPodLog } from '../../../pods/log/pod-log.ts';
import { PodList } from '../../../pods/controller/pod-directory.ts';
import { ShardController } from '../../../pods/controller/shard-controller.ts';
import { sleep } from '../../../pods/kernel/clock.ts';
import { isLeading, maximalInSync } from '../../../pods/replication/primary-role.ts';
import { termAt } from '../../../pods/replication/term-runs.ts';
import { createRouter } from '../../../pods/router/router.ts';
import { openDataDirectory } from '../../../pods/service/data-directory.ts';
import type { HostedReplica } from '../../../pods/service/data-pod.ts';
import { openPod } from '../../../pods/service/open-pod.ts';
import { noSpan } from '../../../pods/kernel/span.ts';
import { noMetrics } from '../../../pods/telemetry/metrics.ts';
import { simulatedGraphFactory } from '../simulated-graph.ts';
import { dimension } from './contents.ts';
import type { ClusterParts, NodeSurroundings, PodSurroundings, ReplicaInspection, SimulatedGateway, SimulatedNode, SimulatedPod } from './node.ts';

/** Small, so that graph, tail and segments change often. */
const segmentBytes = 8_192;
const flatFloatsMax = 24;
const tailFloatsMax = 48;
const podListIntervalMs = 500;

export const clusterParts: ClusterParts = { pod, gateway, controller };

async function pod(surroundings: PodSurroundings): Promise<SimulatedPod> {
  const { name, podUID, dataDirectory, fileSystem, clock, random, logger, metadata, transport, pods, mutations } = surroundings;
  const directory = await openDataDirectory(fileSystem, dataDirectory, 'simulation');
  const store = surroundings.openStore();
  const log = await openPodLog({ directory: directory.log, fileSystem, clock, bounds: { segmentBytes } });
  const opened = await openPod({
    name,
    podUID,
    directory,
    fileSystem,
    log,
    store,
    graphFactory: simulatedGraphFactory(fileSystem, random),
    metadata,
    transport,
    pods,
    clock,
    random,
    logger,
    mutations,
    diskReadOnlyAtFraction: 0.95,
    flatFloatsMax,
    tailFloatsMax,
    onFailure: (error) => surroundings.onFailure(error),
    onDamaged: (shardUID, error) => logger.warn({ shardUID, error }, 'a damaged replica is kept aside'),
  });
  surroundings.onMessage((message) => opened.pod.receive(message));
  surroundings.serve(opened.service);
  await opened.assignments.start();
  return {
    close: () => opened.close(),
    inspect: () => opened.pod.hosted().map(inspect),
    registered: () => opened.pod.registry.all(),
    readPoints: async (shardUID) => {
      const { replica, service } = opened.pod.hostedReplica(shardUID);
      const context = { signal: new AbortController().signal, span: noSpan };
      const parts = { includeVector: true, includePayload: true, consistency: { level: 'eventual' } } as const;
      const { points } = await service.scroll(context, { afterId: undefined, filter: undefined, limit: 10_000, ...parts });
      await replica.state.index.settled();
      const { hits } = await service.search(context, { vector: new Float32Array(dimension), topK: 10_000, ef: 10_000, exact: false, filter: undefined, scoreThreshold: undefined, countVisited: false, ...parts });
      return { points, searchableIds: hits.map(({ id }) => id) };
    },
  };
}

function inspect({ replica }: HostedReplica): ReplicaInspection {
  const state = replica.protocol;
  const { collectionUID, shardUID, self, role, term, durableSeq, commitSeq } = state;
  return {
    collectionUID,
    shardUID,
    incarnation: self.incarnation,
    session: self.session,
    role: role.kind,
    serves: replica.notServing === undefined,
    term,
    durableSeq,
    commitSeq,
    appliedSeq: replica.appliedSeq,
    isReadable: replica.notReadable === undefined,
    termAt: (seq) => termAt(state.runs, seq),
    authority: isLeading(state) ? { configVersion: state.role.authority.configVersion, inSyncCount: state.role.authority.inSync.length, minInSync: state.role.authority.minInSync } : undefined,
    maximalInSync: isLeading(state) ? maximalInSync(state.role) : [],
    quarantined: replica.report().quarantined,
  };
}

async function gateway({ metadata, pods, clock, random, logger }: NodeSurroundings): Promise<SimulatedGateway> {
  const router = createRouter({ metadata, pods, clock, random, logger, metrics: noMetrics, replicaCountMax: 5 });
  const absent = new Proxy({}, { get: () => unused }) as never;
  return { api: router.api({ keys: absent, cluster: absent }), close: async () => router.close() };
}

async function controller(surroundings: NodeSurroundings): Promise<SimulatedNode> {
  const { metadata, pods, clock, logger, mutations } = surroundings;
  const stop = new AbortController();
  const directory = new PodList([]);
  const follow = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await surroundings.listPods().then(
        (facts) => directory.set(facts.map(({ name, isDraining }) => ({ name, isDraining }))),
        () => undefined,
      );
      await sleep(clock, podListIntervalMs, stop.signal).catch(() => undefined);
    }
  };
  const running = new ShardController({ metadata, pods, directory, clock, logger, mutations, systemReplication: { replicas: 1, minInSync: 1 } });
  await running.start();
  void follow();
  return {
    close: async () => {
      stop.abort();
      await running.close();
    },
  };
}

function unused(): never {
  throw new Error('the simulation uses points, collections and searches only');
}
