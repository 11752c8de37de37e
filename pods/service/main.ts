/** `shoal pod`: a data pod of a cluster. Hosts the replicas that VectorShard objects give it, and serves gateways and other pods. */

import { flushCompileCache } from 'node:module';
import { resolve } from 'node:path';
import { graphFactoryOf } from '../index/graph-factory.ts';
import { sleep, systemClock } from '../kernel/clock.ts';
import { podOptions, readPodConfig } from '../kernel/config.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import { nodeFileSystem } from '../kernel/node-file-system.ts';
import { systemRandom } from '../kernel/random.ts';
import { beginServer, startFailed } from '../kernel/server-process.ts';
import type { Shutdown } from '../kernel/shutdown.ts';
import { programVersion } from '../kernel/version.ts';
import { kubeEndpoint } from '../kube/endpoint.ts';
import { openPodLog } from '../log/pod-log.ts';
import { openKubeMetadata } from '../metadata/kube-metadata.ts';
import { openRocksdbStore } from '../storage/rocksdb-store.ts';
import { single } from '../telemetry/metrics.ts';
import { observeProcess } from '../telemetry/process-metrics.ts';
import { createPrometheusMetrics } from '../telemetry/prometheus-metrics.ts';
import { startStatusServer } from '../telemetry/status-server.ts';
import { openPeers } from '../wire/open-peers.ts';
import { startPeerServer } from '../wire/peer-server.ts';
import type { Assignments } from './assignments.ts';
import { openDataDirectory } from './data-directory.ts';
import { handOver } from './handover.ts';
import { openPod } from './open-pod.ts';
import { observePod } from './pod-metrics.ts';

type Config = ReturnType<typeof readPodConfig>;

const startRetryMs = 500;

const command = 'shoal pod';

/** Exit codes: 0 ended as asked, 1 failed, 2 wrong usage. Does not return while it serves. */
export async function main(argv: readonly string[]): Promise<number> {
  const begun = beginServer(command, argv, podOptions, readPodConfig);
  if (typeof begun === 'number') return begun;
  const { config, logger, shutdown } = begun;
  try {
    process.stdout.write(await start({ ...config, dataDirectory: resolve(config.dataDirectory) }, logger, shutdown));
    flushCompileCache();
    return await new Promise<number>(() => undefined);
  } catch (error) {
    return await startFailed(command, error, begun);
  }
}

/** Resolves to what is printed once it serves. */
async function start(config: Config, logger: Logger, shutdown: Shutdown): Promise<string> {
  const common = { clock: systemClock, random: systemRandom, logger };
  const version = programVersion();
  const metrics = createPrometheusMetrics(logger);
  // Rule F1: a failed fsync ends the process. What was acknowledged is on the disk; a new process finds out.
  const onFailure = (error: Error): void => {
    logger.error({ error }, 'the log or the store failed; ending the process');
    setImmediate(() => process.exit(1));
  };

  const directory = await openDataDirectory(nodeFileSystem, config.dataDirectory, version);
  // Rule F2: its lock keeps a second process off the log too.
  const store = await openRocksdbStore({ directory: directory.store });
  const log = await openPodLog({
    directory: directory.log,
    fileSystem: nodeFileSystem,
    clock: systemClock,
    onRepair: (repair) => logger.warn({ ...repair }, 'cut the torn tail of the log: nothing of it had been acknowledged'),
  });
  const endpoint = await kubeEndpoint(config.kubeconfig === undefined ? 'in-cluster' : { kubeconfig: config.kubeconfig });
  const metadata = openKubeMetadata({ ...common, endpoint, namespace: config.namespace });
  const peers = openPeers(config, { name: config.podName, role: 'pod', podUID: config.podUID, session: systemRandom.uuid() }, { ...common, metrics });
  const opened = await openPod({
    ...common,
    name: config.podName,
    podUID: config.podUID,
    directory,
    fileSystem: nodeFileSystem,
    log,
    store,
    graphFactory: graphFactoryOf(config, logger),
    metadata,
    transport: peers,
    pods: peers,
    diskReadOnlyAtFraction: config.diskReadOnlyAt,
    bytesPerSecondMax: config.transferBytesPerSecond,
    onFailure,
    onDamaged: (shardUID, error) => logger.error({ shardUID, error }, 'the replica is damaged; it is kept as it is and not served'),
  });
  peers.serve({ service: opened.service, onMessage: (message) => opened.pod.receive(message) });
  const server = await startPeerServer({ host: config.internalHost, port: config.internalPort, transport: peers });
  let isUp = false;
  const status = await startStatusServer({
    host: config.statusHost,
    port: config.statusPort,
    notReady: () => (isUp ? [] : ['the pod has not looked at all its shards yet']),
    metrics: config.metrics ? metrics : undefined,
  });
  const processMetrics = observeProcess(metrics, version);
  observePod(metrics, opened.pod, metadata);
  metrics.observe('peerConnections', single(() => peers.statistics().connectionCount));
  metrics.observe('peerMessagesDropped', single(() => peers.statistics().droppedMessageCount));

  const stop = new AbortController();
  shutdown.add({ name: 'handover', timeoutMs: 2 * limits.podHandoverMsMax, run: () => handOver(opened.pod) });
  shutdown.add({
    name: 'data pod',
    timeoutMs: 3 * limits.shutdownGraceMs,
    run: async () => {
      stop.abort(new Error('shutting down'));
      peers.stopServing();
      await opened.close();
      server.close();
      peers.close();
    },
  });
  shutdown.add({
    name: 'status',
    timeoutMs: limits.shutdownGraceMs,
    run: async () => {
      processMetrics.close();
      metadata.close();
      await status.close();
    },
  });

  void lookAtAll(opened.assignments, stop.signal, logger).then(() => (isUp = true));
  return [
    `Shoal ${version}, data pod ${config.podName}`,
    `  pods and gateways  ${server.address.host}:${server.address.port}${peers.tls === undefined ? ' (plaintext)' : ' (mutual TLS)'}`,
    `  status             http://${status.address.host}:${status.address.port}/readyz`,
    `  data               ${config.dataDirectory}`,
    '',
  ].join('\n');
}

/** Rule F3: while the objects cannot be read nothing is served, and the process stays: they say what is wanted of its data. */
async function lookAtAll(assignments: Assignments, signal: AbortSignal, logger: Logger): Promise<void> {
  while (!signal.aborted) {
    try {
      return await assignments.start();
    } catch (error) {
      if (signal.aborted) return;
      logger.warn({ error }, 'the objects of the cluster cannot be read yet; trying again');
      await sleep(systemClock, startRetryMs, signal).catch(() => undefined);
    }
  }
}
