/**
 * Who is who in a test cluster: an authority of its own, the API server's certificate, the one by which kubelets know the API
 * server, the keys of service accounts, and a random token for everybody else. Made once.
 */

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './command.ts';
import type { Cluster } from './description.ts';

export interface Identities {
  readonly ca: string;
  readonly caKey: string;
  readonly apiServerCertificate: string;
  readonly apiServerKey: string;
  readonly kubeletClientCertificate: string;
  readonly kubeletClientKey: string;
  readonly serviceAccountKey: string;
  readonly serviceAccountPublicKey: string;
  readonly tokens: string;
  /** Path of the kubeconfig of whoever has this name. */
  kubeconfigOf(name: string): string;
}

const days = '3650';

export async function makeIdentities(cluster: Cluster): Promise<Identities> {
  const directory = join(cluster.directory, 'identities');
  const file = (name: string): string => join(directory, name);
  const identities: Identities = {
    ca: file('ca.crt'),
    caKey: file('ca.key'),
    apiServerCertificate: file('api-server.crt'),
    apiServerKey: file('api-server.key'),
    kubeletClientCertificate: file('kubelet-client.crt'),
    kubeletClientKey: file('kubelet-client.key'),
    serviceAccountKey: file('service-accounts.key'),
    serviceAccountPublicKey: file('service-accounts.pub'),
    tokens: file('tokens.csv'),
    kubeconfigOf: (name) => (name === 'admin' ? cluster.kubeconfig : file(`${name}.kubeconfig`)),
  };
  if (existsSync(file('complete'))) return identities;
  mkdirSync(directory, { recursive: true, mode: 0o700 });

  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', days];
  const usage = (extended: string): string[] => ['-addext', 'basicConstraints=critical,CA:FALSE', '-addext', `extendedKeyUsage=${extended}`];
  const signed = ['-CA', identities.ca, '-CAkey', identities.caKey];
  const openssl = (...args: string[]): Promise<string> => run('openssl', ['req', '-x509', ...newKey, ...args]);
  await openssl('-subj', '/CN=shoal-cluster', '-keyout', identities.caKey, '-out', identities.ca, '-addext', 'keyUsage=critical,keyCertSign,digitalSignature');
  const names = ['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local'].map((name) => `DNS:${name}`);
  const addresses = ['127.0.0.1', cluster.controlPlane.address, cluster.apiServiceAddress].map((address) => `IP:${address}`);
  const alternatives = ['-addext', `subjectAltName=${[...names, ...addresses].join(',')}`];
  await openssl('-subj', '/CN=kube-apiserver', '-keyout', identities.apiServerKey, '-out', identities.apiServerCertificate, ...alternatives, ...usage('serverAuth'), ...signed);
  const kubeletClient = ['-keyout', identities.kubeletClientKey, '-out', identities.kubeletClientCertificate];
  await openssl('-subj', '/O=system:masters/CN=kube-apiserver-kubelet-client', ...kubeletClient, ...usage('clientAuth'), ...signed);

  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(identities.serviceAccountKey, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  writeFileSync(identities.serviceAccountPublicKey, publicKey.export({ type: 'spki', format: 'pem' }));

  const lines: string[] = [];
  for (const { name, user, groups } of identityTable(cluster)) {
    const token = randomBytes(24).toString('hex');
    lines.push(`${token},${user},${user},"${groups.join(',')}"\n`);
    writeFileSync(identities.kubeconfigOf(name), kubeconfig(cluster, identities.ca, name, token), { mode: 0o600 });
  }
  writeFileSync(identities.tokens, lines.join(''), { mode: 0o600 });
  writeFileSync(file('complete'), '');
  return identities;
}

interface Identity {
  readonly name: string;
  readonly user: string;
  readonly groups: readonly string[];
}

/** The users that Kubernetes' own roles are bound to. What does the work of an add-on may do everything. */
function identityTable(cluster: Cluster): Identity[] {
  const masters = ['system:masters'];
  return [
    { name: 'admin', user: 'admin', groups: masters },
    { name: 'kube-controller-manager', user: 'system:kube-controller-manager', groups: [] },
    { name: 'kube-scheduler', user: 'system:kube-scheduler', groups: [] },
    { name: 'kube-proxy', user: 'system:kube-proxy', groups: [] },
    { name: 'local-path-provisioner', user: 'local-path-provisioner', groups: masters },
    { name: 'contour', user: 'contour', groups: masters },
    ...cluster.nodes.map(({ name }) => ({ name, user: `system:node:${name}`, groups: ['system:nodes'] })),
  ];
}

function kubeconfig(cluster: Cluster, ca: string, user: string, token: string): string {
  const name = `shoal-${cluster.name}`;
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server: cluster.apiUrl, 'certificate-authority-data': readFileSync(ca).toString('base64') } }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name, context: { cluster: name, user } }],
    'current-context': name,
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}
