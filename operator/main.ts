/**
 * `shoal operator`: makes what VectorPools and VectorCollections ask for, and keeps their shards placed and led. Several may
 * run; one works, the others stand by with everything read (runtime/lease.ts).
 */

import { join } from 'node:path';
import { hostname } from 'node:os';
import { sleep, systemClock } from '../pods/kernel/clock.ts';
import { operatorOptions, readOperatorConfig, type OperatorConfig } from '../pods/kernel/config.ts';
import { hasCode } from '../pods/kernel/errors.ts';
import { limits } from '../pods/kernel/limits.ts';
import type { Logger } from '../pods/kernel/logger.ts';
import { printableOptions } from '../pods/kernel/options.ts';
import { systemRandom } from '../pods/kernel/random.ts';
import { beginServer, startFailed } from '../pods/kernel/server-process.ts';
import type { Shutdown } from '../pods/kernel/shutdown.ts';
import { programVersion } from '../pods/kernel/version.ts';
import { KubeClient } from '../pods/kube/client.ts';
import { kubeEndpoint } from '../pods/kube/endpoint.ts';
import { openKubeMetadata } from '../pods/metadata/kube-metadata.ts';
import { noMetrics, single } from '../pods/telemetry/metrics.ts';
import { observeProcess } from '../pods/telemetry/process-metrics.ts';
import { createPrometheusMetrics } from '../pods/telemetry/prometheus-metrics.ts';
import { startStatusServer } from '../pods/telemetry/status-server.ts';
import type { PeerIdentity } from '../pods/wire/peer-identity.ts';
import { Operator } from './controllers/operator.ts';
import { Peers } from './peers.ts';
import { watchCluster } from './observe/cluster.ts';
import { ObjectWriter } from './runtime/apply.ts';
import { Lease } from './runtime/lease.ts';
import { applySchemas, readSchemas } from './runtime/schemas.ts';

const command = 'shoal operator';
const retryMs = 1_000;
const schemaDirectory = join(import.meta.dirname, '..', 'crds');

/** Exit codes: 0 ended as asked, 1 failed or does not lead any more, 2 wrong usage. Does not return while it works. */
export async function main(argv: readonly string[]): Promise<number> {
  const begun = beginServer(command, argv, operatorOptions, readOperatorConfig);
  if (typeof begun === 'number') return begun;
  const { config, logger, shutdown } = begun;
  logger.info({ version: programVersion(), options: printableOptions(operatorOptions, config) }, 'starting');
  try {
    const address = await start(config, logger, shutdown);
    process.stdout.write(`Shoal ${programVersion()}: operator of namespace ${config.namespace}; status at http://${address}\n`);
    return await new Promise<number>(() => undefined);
  } catch (error) {
    return await startFailed(command, error, begun);
  }
}

async function start(config: OperatorConfig, logger: Logger, shutdown: Shutdown): Promise<string> {
  const parts = { clock: systemClock, random: systemRandom, logger };
  const metrics = config.metrics ? createPrometheusMetrics(logger) : undefined;
  const processMetrics = observeProcess(metrics ?? noMetrics, programVersion());
  const endpoint = await kubeEndpoint(config.kubeconfig === undefined ? 'in-cluster' : { kubeconfig: config.kubeconfig });
  // Connections of its own: a renewal waits for no other request.
  const leaseEndpoint = await kubeEndpoint(config.kubeconfig === undefined ? 'in-cluster' : { kubeconfig: config.kubeconfig });
  const { namespace } = config;
  const session = systemRandom.uuid();
  const identity = `${hostname()}_${session}`;
  // A lost Lease ends the process: nothing that has begun goes on, and Kubernetes starts another one.
  const onLost = (because: string): void => {
    logger.error({ because }, 'this operator does not lead any more; ending the process');
    setImmediate(() => process.exit(1));
  };
  const lease = new Lease({ client: new KubeClient({ ...parts, endpoint: leaseEndpoint, timeoutMs: 2 * limits.leaseRenewMs }), namespace, name: config.leaseName, identity, clock: systemClock, logger, onLost });
  const beforeWrite = (): void => lease.assertHeld();
  const client = new KubeClient({ ...parts, endpoint, beforeWrite });
  const metadata = openKubeMetadata({ ...parts, endpoint, namespace, beforeWrite });
  const observed = watchCluster({ client, namespace, logger });
  const self: PeerIdentity = { role: 'gateway', name: `operator-${session.slice(0, 8)}`, podUID: '', session };
  const peers = new Peers({ ...parts, config, self, metrics: metrics ?? noMetrics, writer: new ObjectWriter(client, namespace) });
  const operator = new Operator({
    ...parts,
    namespace,
    identity,
    client,
    metadata,
    observed,
    pods: peers,
    podOptions: { image: config.image, imagePullPolicy: config.imagePullPolicy, imagePullSecrets: config.imagePullSecrets, logLevel: config.podLogLevel, volumeAccessMode: config.volumeAccessMode, hasInternalTls: config.podTls },
    onReconciled(controller, seconds, outcome) {
      metrics?.counter('reconciles', { controller, outcome }).add(1);
      metrics?.histogram('reconcileDuration', { controller }).record(seconds);
    },
  });
  metrics?.observe('leads', single(() => (lease.isHeld ? 1 : 0)));
  const status = await startStatusServer({ host: config.statusHost, port: config.statusPort, metrics, notReady: () => observed.missing().map((kind) => `${kind} have not been read yet`) });

  const stop = new AbortController();
  shutdown.add({
    name: 'operator',
    timeoutMs: limits.shutdownGraceMs,
    run: async () => {
      stop.abort(new Error('shutting down'));
      await operator.close();
    },
  });
  // Only now: whoever leads next finds nobody at work.
  shutdown.add({
    name: 'lease',
    timeoutMs: limits.kubeRequestTimeoutMs,
    run: async () => {
      await lease.close();
      leaseEndpoint.agent.destroy();
    },
  });
  shutdown.add({
    name: 'connections',
    timeoutMs: limits.shutdownGraceMs,
    run: async () => {
      observed.close();
      await peers.close();
      metadata.close();
      processMetrics.close();
      await status.close();
    },
  });

  lead({ config, lease, client, peers, operator, logger, signal: stop.signal }).catch((error: unknown) => {
    if (!stop.signal.aborted) onLost(`the operator could not begin its work: ${error instanceof Error ? error.message : String(error)}`);
  });
  return `${status.address.host}:${status.address.port}`;
}

interface Leading {
  readonly config: OperatorConfig;
  readonly lease: Lease;
  readonly client: KubeClient;
  readonly peers: Peers;
  readonly operator: Operator;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

async function lead({ config, lease, client, peers, operator, logger, signal }: Leading): Promise<void> {
  await lease.acquire();
  if (config.applySchemas) await bringSchemas(new ObjectWriter(client, config.namespace), logger, signal);
  await peers.open();
  await operator.start();
  logger.info({}, 'at work');
}

/** Without the right to change them it goes on with those that are there, as who withheld it will want. */
async function bringSchemas(writer: ObjectWriter, logger: Logger, signal: AbortSignal): Promise<void> {
  const schemas = await readSchemas(schemaDirectory);
  for (;;) {
    try {
      return await applySchemas(writer, schemas, systemClock, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (hasCode(error, 'PERMISSION_DENIED')) return logger.warn({ error }, 'the operator may not change CustomResourceDefinitions; those that are there stay');
      logger.warn({ error }, 'the CustomResourceDefinitions could not be applied; trying again');
      await sleep(systemClock, retryMs, signal);
    }
  }
}
