/**
 * The cluster that suites run against: the one whose kubeconfig is in KUBECONFIG, else the one of `npm run cluster -- up`.
 *
 *     KUBECONFIG       of any cluster; kind's, say
 *     SHOAL_IMAGE      the image there (default: shoal:<version>), which its nodes must have or can pull
 *     SHOAL_INGRESS    where its ingress controller answers, as host or host:port
 *     SHOAL_CLUSTER    name of a cluster of `npm run cluster`, when it is not the usual one
 */

import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { kubeEndpoint } from '../../../pods/kube/endpoint.ts';
import { KubeClient } from '../../../pods/kube/client.ts';
import { systemClock } from '../../../pods/kernel/clock.ts';
import { systemRandom } from '../../../pods/kernel/random.ts';
import { atEnd, type Owner } from '../../framework/cleanup.ts';
import { isBuilt, kubernetesProgram, type Program } from '../../framework/kubernetes/binaries.ts';
import { timeoutsMs } from '../../framework/timeouts.ts';
import { ClusterError } from '../cluster-error.ts';
import { run, tryRun, type CommandOptions, type CommandOutcome } from '../command.ts';
import { defaultClusterName } from '../description.ts';
import { projectVersion } from '../images/shoal-image.ts';
import { clusterNames, findCluster } from '../state.ts';
import { clusterFaults, type ClusterFaults } from './faults.ts';
import { clusterTimeoutsMs, waitUntil } from './wait.ts';

export interface TestCluster {
  readonly kubeconfig: string;
  /** By which pods name the project's image. */
  readonly image: string;
  /** Of the ingress controller, host or host:port; undefined where nobody said. */
  readonly ingress: string | undefined;
  /** With every right. */
  readonly admin: KubeClient;
  /** Undefined for a cluster that is not of `npm run cluster`: its nodes are not ours to kill. */
  readonly faults: ClusterFaults | undefined;
  /** What it printed; a failure says what kubectl said. */
  kubectl(args: readonly string[], options?: CommandOptions): Promise<string>;
  /** Its end, whatever it is. */
  tryKubectl(args: readonly string[], options?: CommandOptions): Promise<CommandOutcome>;
  /** The answer of `kubectl … -o json`. */
  kubectlJson<T>(args: readonly string[], options?: CommandOptions): Promise<T>;
  /** Of one object or several, as YAML or JSON text, or as objects. */
  apply(manifest: string | readonly object[], options?: { readonly namespace?: string }): Promise<void>;
  helm(args: readonly string[], options?: CommandOptions): Promise<string>;
  /** A namespace of the test's own; gone when it ends, with all that is in it. SHOAL_KEEP=1 keeps it. */
  namespaceFor(t: Owner): Promise<string>;
}

const helmTimeoutMs = 180_000;
const namespaceTimeoutMs = 120_000;

export async function connectCluster(t: Owner): Promise<TestCluster> {
  const own = ownCluster();
  const kubeconfig = own?.kubeconfig ?? process.env['KUBECONFIG']!;
  const programs = { kubectl: await clientProgram('kubectl'), helm: await clientProgram('helm') };
  const env = { ...process.env, KUBECONFIG: kubeconfig };
  const admin = new KubeClient({ endpoint: await kubeEndpoint({ kubeconfig }), clock: systemClock, random: systemRandom, timeoutMs: timeoutsMs.request });
  atEnd(t, () => admin.endpoint.agent.destroy());

  const kubectl: TestCluster['kubectl'] = (args, options) => run(programs.kubectl, args, { env, ...options });
  return {
    kubeconfig,
    image: process.env['SHOAL_IMAGE'] ?? `shoal:${projectVersion()}`,
    ingress: own?.ingressAddress ?? process.env['SHOAL_INGRESS'],
    admin,
    faults: own === undefined ? undefined : clusterFaults(own),
    kubectl,
    tryKubectl: (args, options) => tryRun(programs.kubectl, args, { env, ...options }),
    kubectlJson: async <T>(args: readonly string[], options?: CommandOptions) => JSON.parse(await kubectl([...args, '-o', 'json'], options)) as T,
    async apply(manifest, { namespace } = {}) {
      const input = typeof manifest === 'string' ? manifest : JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifest });
      await kubectl(['apply', ...(namespace === undefined ? [] : ['-n', namespace]), '-f', '-'], { input });
    },
    helm: (args, options) => run(programs.helm, args, { env, timeoutMs: helmTimeoutMs, ...options }),
    async namespaceFor(owner) {
      const name = `e2e-${randomBytes(5).toString('hex')}`;
      await kubectl(['create', 'namespace', name]);
      if (process.env['SHOAL_KEEP'] === '1') owner.diagnostic(`keeping namespace ${name}`);
      else atEnd(owner, () => kubectl(['delete', 'namespace', name, '--wait', `--timeout=${namespaceTimeoutMs}ms`], { timeoutMs: namespaceTimeoutMs + 10_000 }));
      // The controller manager makes it in its own time; without it a pod is refused.
      await waitUntil(`service account default of ${name}`, clusterTimeoutsMs.podReady, async () => {
        await kubectl(['get', 'serviceaccount', 'default', '-n', name]);
        return { value: undefined };
      });
      return name;
    },
  };
}

/** Also when KUBECONFIG is that of a cluster of ours, as its status says to set it. */
function ownCluster(): ReturnType<typeof findCluster> {
  const { KUBECONFIG: given, SHOAL_CLUSTER: name = defaultClusterName } = process.env;
  if (given !== undefined && given !== '') {
    return clusterNames()
      .map((each) => findCluster(each)!)
      .find(({ kubeconfig }) => kubeconfig === given);
  }
  const cluster = findCluster(name);
  if (cluster === undefined) throw new ClusterError(`no cluster to test on: set KUBECONFIG, or make one by npm run cluster -- up${name === defaultClusterName ? '' : ` --name ${name}`}`);
  return cluster;
}

/** The one that is built for clusters of ours; elsewhere the machine's own will do. */
async function clientProgram(program: Program): Promise<string> {
  if (isBuilt(program) || spawnSync(program, ['version', '--client'], { stdio: 'ignore' }).error !== undefined) return kubernetesProgram(program);
  return program;
}
