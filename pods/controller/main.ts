/**
 * `shoal failover-controller`: keeps the shards of a cluster placed and led, through the Kubernetes API and the data pods'
 * internal ports. Several may run; each write is a compare-and-swap, so they do no harm to one another.
 */

import { sleep, systemClock } from '../kernel/clock.ts';
import { controllerOptions, readControllerConfig, type ControllerConfig } from '../kernel/config.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import { printableOptions } from '../kernel/options.ts';
import { systemRandom } from '../kernel/random.ts';
import { beginServer } from '../kernel/server-process.ts';
import type { Shutdown } from '../kernel/shutdown.ts';
import { programVersion } from '../kernel/version.ts';
import { KubeClient } from '../kube/client.ts';
import { kubeEndpoint } from '../kube/endpoint.ts';
import { openKubeMetadata } from '../metadata/kube-metadata.ts';
import { noMetrics } from '../telemetry/metrics.ts';
import { observeProcess } from '../telemetry/process-metrics.ts';
import { createPrometheusMetrics } from '../telemetry/prometheus-metrics.ts';
import { startStatusServer } from '../telemetry/status-server.ts';
import { openPeers } from '../wire/open-peers.ts';
import { KubePodDirectory } from './kube-pod-directory.ts';
import { PodList, type PodDirectory } from './pod-directory.ts';
import { ShardController } from './shard-controller.ts';

const command = 'shoal failover-controller';
const startRetryMs = 1_000;

/** Exit codes: 0 ended as asked, 1 failed, 2 wrong usage. Does not return while it works. */
export async function main(argv: readonly string[]): Promise<number> {
  const begun = beginServer(command, argv, controllerOptions, readControllerConfig);
  if (typeof begun === 'number') return begun;
  const { config, logger, shutdown } = begun;
  logger.info({ version: programVersion(), options: printableOptions(controllerOptions, config) }, 'starting');
  try {
    const address = await start(config, logger, shutdown);
    process.stdout.write(`Shoal ${programVersion()}: failover controller of namespace ${config.namespace}; status at http://${address}\n`);
    return await new Promise<number>(() => undefined);
  } catch (error) {
    process.stderr.write(`${command}: ${error instanceof Error ? error.message : String(error)}\n`);
    await shutdown.begin('start failed');
    process.exit(1);
  }
}

async function start(config: ControllerConfig, logger: Logger, shutdown: Shutdown): Promise<string> {
  const clock = systemClock;
  const random = systemRandom;
  const metrics = config.metrics ? createPrometheusMetrics(logger) : undefined;
  const processMetrics = observeProcess(metrics ?? noMetrics, programVersion());
  const endpoint = await kubeEndpoint(config.kubeconfig === undefined ? 'in-cluster' : { kubeconfig: config.kubeconfig });
  const { namespace } = config;
  const metadata = openKubeMetadata({ endpoint, namespace, clock, random, logger });
  const kubeDirectory = config.pods.length > 0 ? undefined : new KubePodDirectory({ client: new KubeClient({ endpoint, clock, random }), namespace, logger });
  const directory: PodDirectory = kubeDirectory ?? new PodList(config.pods.map((name) => ({ name, isDraining: false })));
  const session = random.uuid();
  const pods = openPeers(config, { role: 'gateway', name: `failover-controller-${session.slice(0, 8)}`, podUID: '', session }, { clock, random, logger });
  const stop = new AbortController();

  let controller: ShardController | undefined;
  const status = await startStatusServer({
    host: config.statusHost,
    port: config.statusPort,
    metrics,
    notReady: () => (controller === undefined ? ['the objects and pods have not been read yet'] : []),
  });
  shutdown.add({
    name: 'controller',
    timeoutMs: limits.shutdownGraceMs,
    run: async () => {
      stop.abort(new Error('shutting down'));
      await controller?.close();
    },
  });
  shutdown.add({
    name: 'connections',
    timeoutMs: limits.shutdownGraceMs,
    run: async () => {
      pods.close();
      kubeDirectory?.close();
      metadata.close();
      processMetrics.close();
      await status.close();
    },
  });

  void (async () => {
    await untilThereArePods(directory, stop.signal);
    const starting = new ShardController({ metadata, pods, directory, clock, logger, systemReplication: systemReplication(directory.list().length), systemPlacement: { pool: 'default' } });
    for (;;) {
      try {
        await starting.start();
        break;
      } catch (error) {
        logger.warn({ error }, 'the objects cannot be read yet; trying again');
        await sleep(clock, startRetryMs, stop.signal);
      }
    }
    controller = starting;
    logger.info({ pods: directory.list().length }, 'started');
  })().catch((error: unknown) => {
    if (!stop.signal.aborted) logger.error({ error }, 'the controller could not be started');
  });
  return `${status.address.host}:${status.address.port}`;
}

/** Placement among none would be a mistake that lasts; the list comes with the first answer of the API server. */
async function untilThereArePods(directory: PodDirectory, signal: AbortSignal): Promise<void> {
  while (directory.list().length === 0) await sleep(systemClock, limits.probeIntervalMs, signal);
}

/** Of the system's own records, as far as the pods at the first start allow. The collection can be changed like any other. */
function systemReplication(podCount: number): { readonly replicas: number; readonly minInSync: number } {
  const replicas = Math.min(3, podCount);
  return { replicas, minInSync: replicas === 3 ? 2 : 1 };
}
