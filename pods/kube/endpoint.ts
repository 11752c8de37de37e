/**
 * Where the API server is and who we are, from a kubeconfig or from inside a pod: the adapter of `@kubernetes/client-node`.
 *
 * Of that library only this is used. Its requests go through undici, which sends some requests a second time by itself
 * (HTTP/2 streams that were refused or cut); rule W4 forbids that for writes, so requests are `request.ts`'s own.
 */

import { Agent, type RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import { limits } from '../kernel/limits.ts';

export interface KubeEndpoint {
  readonly server: URL;
  /** That of the kubeconfig's context or of our pod; `default` where none is named. */
  readonly namespace: string;
  readonly agent: Agent;
  /** Headers that say who we are; read again now and then where they come from a file. */
  credentials(): Promise<Readonly<Record<string, string>>>;
}

export type KubeSource = { readonly kubeconfig: string; readonly context?: string } | 'in-cluster';

export async function kubeEndpoint(source: KubeSource): Promise<KubeEndpoint> {
  const config = new KubeConfig();
  if (source === 'in-cluster') config.loadFromCluster();
  else {
    config.loadFromFile(source.kubeconfig);
    if (source.context !== undefined) config.setCurrentContext(source.context);
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error(source === 'in-cluster' ? 'this process is not inside a cluster' : `${source.kubeconfig} names no cluster for its current context`);
  const server = new URL(cluster.server);
  if (server.protocol !== 'https:') throw new Error(`the API server must be reached by https, not ${cluster.server}`);
  const applied = async (): Promise<RequestOptions> => {
    const options: RequestOptions = {};
    await config.applyToHTTPSOptions(options);
    return options;
  };
  const { ca, cert, key, servername, rejectUnauthorized } = await applied();
  const given = Object.entries({ ca, cert, key, servername, rejectUnauthorized }).filter(([, value]) => value !== undefined);
  return {
    server,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? 'default',
    agent: new Agent({ ...Object.fromEntries(given), keepAlive: true, maxSockets: limits.kubeConnectionsMax, scheduling: 'lifo' }),
    async credentials() {
      const { headers = {}, auth } = await applied();
      const basic = auth === undefined || auth === null ? {} : { Authorization: `Basic ${Buffer.from(auth).toString('base64')}` };
      return { ...basic, ...(headers as Record<string, string>) };
    },
  };
}
