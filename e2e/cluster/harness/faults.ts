/** What goes wrong with the machines of a cluster of `npm run cluster`. Each fault is undone when the test ends, if not before. */

import { readFileSync } from 'node:fs';
import { atEnd, type Owner } from '../../framework/cleanup.ts';
import { makeIdentities } from '../certificates.ts';
import { run } from '../command.ts';
import { controlPlaneOf } from '../control-plane.ts';
import { killProcessesIn } from '../control-groups.ts';
import type { Cluster, ClusterNode } from '../description.ts';
import { forgetRunningContainers } from '../down.ts';
import { cutOff, reconnect } from '../network.ts';
import { nodeProcesses } from '../node.ts';
import { processesNaming } from '../process-table.ts';
import { pidOf, startProcess, stopProcess } from '../processes.ts';
import { clusterProgramPaths, containerdReady, startControlPlane, startNode } from '../up.ts';
import { clusterTimeoutsMs, waitUntil } from './wait.ts';

export interface ClusterFaults {
  readonly nodeNames: readonly string[];
  /** As if its power was cut: everything on it ends at once, and nothing answers from there. Its disk stays. */
  killNode(t: Owner, name: string): Promise<void>;
  /** Switches it on again, and waits until it is Ready. */
  restoreNode(name: string): Promise<void>;
  /** SIGKILL to the project's process in a pod; what the pod has stays, and kubelet starts it again. */
  killProcessOf(podUID: string): void;
  /** Nothing gets in or out; what runs on it goes on. */
  cutNode(t: Owner, name: string): Promise<void>;
  healNode(name: string): Promise<void>;
  /** Ends the API server; etcd and what it holds stay. */
  stopApiServer(t: Owner, signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Starts it again, and waits until it is ready. */
  startApiServer(): Promise<void>;
  /** It neither answers nor closes connections, until `resumeApiServer`. */
  pauseApiServer(t: Owner): void;
  resumeApiServer(): void;
}

const apiServer = 'kube-apiserver';

export function clusterFaults(cluster: Cluster): ClusterFaults {
  const nodeOf = (name: string): ClusterNode => {
    const found = cluster.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`there is no node ${name}; there are ${cluster.nodes.map((node) => node.name).join(', ')}`);
    return found;
  };
  const ready = async (node: ClusterNode): Promise<void> => {
    const { kubectl } = await clusterProgramPaths();
    await waitUntil(`${node.name} to be Ready`, clusterTimeoutsMs.nodeReady, async () => {
      const path = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}';
      const status = await run(kubectl!, ['--kubeconfig', cluster.kubeconfig, '--request-timeout=10s', 'get', 'node', node.name, '-o', path]);
      return status === 'True' ? { value: undefined } : `its condition Ready is ${status}`;
    });
  };

  const faults: ClusterFaults = {
    nodeNames: cluster.nodes.map(({ name }) => name),
    async killNode(t, name) {
      const node = nodeOf(name);
      atEnd(t, () => faults.restoreNode(name));
      // First the network: a dying process must not say goodbye.
      await cutOff(cluster, node);
      await killProcessesIn([node.controlGroup, node.podControlGroup]);
      await forgetRunningContainers(node);
    },
    async restoreNode(name) {
      const node = nodeOf(name);
      const [programs, identities] = [await clusterProgramPaths(), await makeIdentities(cluster)];
      await reconnect(cluster, node);
      startProcess(cluster, nodeProcesses(cluster, node, programs, identities).containerd);
      await containerdReady(cluster, node);
      startNode(cluster, node, programs, identities);
      await ready(node);
    },
    killProcessOf(podUID) {
      const found = processesNaming('/shoal').filter((pid) => isInPod(pid, podUID));
      if (found.length === 0) throw new Error(`pod ${podUID} has no process of the project's`);
      for (const pid of found) process.kill(pid, 'SIGKILL');
    },
    async cutNode(t, name) {
      atEnd(t, () => faults.healNode(name));
      await cutOff(cluster, nodeOf(name));
    },
    async healNode(name) {
      await reconnect(cluster, nodeOf(name));
      await ready(nodeOf(name));
    },
    async stopApiServer(t, signal = 'SIGTERM') {
      atEnd(t, () => faults.startApiServer());
      await stopProcess(cluster, apiServer, signal);
    },
    async startApiServer() {
      const [programs, identities] = [await clusterProgramPaths(), await makeIdentities(cluster)];
      await startControlPlane(cluster, controlPlaneOf(cluster, programs, identities), programs);
    },
    pauseApiServer(t) {
      atEnd(t, () => faults.resumeApiServer());
      process.kill(runningApiServer(), 'SIGSTOP');
    },
    resumeApiServer() {
      const pid = runningApiServer();
      if (/^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) process.kill(pid, 'SIGCONT');
    },
  };

  function isInPod(pid: number, podUID: string): boolean {
    try {
      const groups = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
      return groups.includes(`pod${podUID}`) && cluster.nodes.some(({ podControlGroup }) => groups.includes(`/${podControlGroup}/`));
    } catch {
      return false; // It has ended.
    }
  }
  function runningApiServer(): number {
    const pid = pidOf(cluster, apiServer);
    if (pid === undefined) throw new Error('the API server does not run');
    return pid;
  }
  return faults;
}
