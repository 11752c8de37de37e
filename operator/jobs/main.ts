/**
 * `shoal job`: work that Kubernetes runs as Jobs. Exit codes: 0 done, 1 not done, with the reason, 2 wrong usage, 3 there is
 * no such object, 4 not done yet: the same command goes on.
 */

import { systemClock } from '../../pods/kernel/clock.ts';
import { drainOptions, readDrainConfig, readUninstallConfig, uninstallOptions } from '../../pods/kernel/config.ts';
import { limits } from '../../pods/kernel/limits.ts';
import { systemRandom } from '../../pods/kernel/random.ts';
import { beginServer, startFailed } from '../../pods/kernel/server-process.ts';
import { kubeEndpoint } from '../../pods/kube/endpoint.ts';
import { openKubeMetadata } from '../../pods/metadata/kube-metadata.ts';
import { drain } from './drain.ts';
import { uninstall } from './uninstall.ts';

const jobs: Readonly<Record<string, (argv: readonly string[]) => Promise<number>>> = { drain: runDrain, uninstall: runUninstall };

export async function main([name = '', ...argv]: readonly string[]): Promise<number> {
  const job = Object.hasOwn(jobs, name) ? jobs[name] : undefined;
  if (job !== undefined) {
    // The clock's timers keep no process alive, and a job that waits has nothing else.
    const alive = setInterval(() => undefined, 60_000);
    return job(argv).finally(() => clearInterval(alive));
  }
  process.stderr.write(`shoal job: ${name === '' ? 'which one?' : `there is no "${name}"`} There is ${Object.keys(jobs).join(', ')}.\n`);
  return 2;
}

async function runUninstall(argv: readonly string[]): Promise<number> {
  const command = 'shoal job uninstall';
  const begun = beginServer(command, argv, uninstallOptions, readUninstallConfig);
  if (typeof begun === 'number') return begun;
  const { config, logger } = begun;
  try {
    const endpoint = await kubeEndpoint(config.kubeconfig === undefined ? 'in-cluster' : { kubeconfig: config.kubeconfig });
    const parts = { clock: systemClock, random: systemRandom, logger };
    const metadata = openKubeMetadata({ ...parts, endpoint, namespace: config.namespace });
    const because = await uninstall({ ...parts, metadata, withCollections: config.withCollections, timeoutMs: config.timeoutMs });
    metadata.close();
    if (because === undefined) return 0;
    process.stderr.write(`${command}: ${because}\n`);
    return 1;
  } catch (error) {
    return await startFailed(command, error, begun);
  }
}

const drainExitCodes = { done: 0, refused: 1, absent: 3, late: 4 } as const;

async function runDrain(argv: readonly string[]): Promise<number> {
  const command = 'shoal job drain';
  const begun = beginServer(command, argv, drainOptions, readDrainConfig);
  if (typeof begun === 'number') return begun;
  const { config, logger, shutdown } = begun;
  shutdown.add({
    name: 'drain',
    timeoutMs: limits.shutdownGraceMs,
    run: () => {
      process.stderr.write(`${command}: interrupted; the request stands, and the same command goes on\n`);
      process.exit(drainExitCodes.late);
    },
  });
  try {
    const endpoint = await kubeEndpoint(config.kubeconfig === undefined ? 'in-cluster' : { kubeconfig: config.kubeconfig });
    const parts = { clock: systemClock, random: systemRandom, logger };
    const metadata = openKubeMetadata({ ...parts, endpoint, namespace: config.namespace });
    const { drainPool: pool, drainPod: pod, cancel: cancels, requestedBy: by, drainTimeoutMs: timeoutMs } = config;
    const { outcome, because } = await drain({ ...parts, metadata, pool, pod, cancels, by, timeoutMs });
    metadata.close();
    const stream = outcome === 'done' ? process.stdout : process.stderr;
    stream.write(`${command}: ${because}\n`);
    return drainExitCodes[outcome];
  } catch (error) {
    return await startFailed(command, error, begun);
  }
}
