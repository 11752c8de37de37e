/** A small StatefulSet behind a service and an ingress, for suites that look at the cluster itself: each pod answers its name. */

import { request } from 'node:http';

export const node = '/usr/local/bin/node';
export const nobody = {
  runAsNonRoot: true,
  seccompProfile: { type: 'RuntimeDefault' },
};
export const nothing = { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };
const labels = { app: 'echo' };

/** The name is written to the pod's volume first. */
const serverProgram = `
  const { readFileSync, writeFileSync } = require('node:fs');
  writeFileSync('/data/name', process.env.POD_NAME);
  require('node:http').createServer((_, answer) => answer.end(readFileSync('/data/name'))).listen(8080);`;

/** One request to the ingress controller, as if `hostName` was its address. */
export function getThrough(ingress: string, hostName: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const [address, port = '80'] = ingress.split(':');
    const asked = request({ host: address, port, path: '/', headers: { host: hostName }, timeout: 5_000 }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => (text += part));
      answer.once('end', () => resolve({ status: answer.statusCode ?? 0, text }));
    });
    asked.once('timeout', () => asked.destroy(new Error('no answer within 5 s')));
    asked.once('error', reject);
    asked.end();
  });
}

/** Service `echo`, pods echo-0 to echo-2 of service echo-pods, ingress for `host`. */
export function echoServers(image: string, host: string): object[] {
  const container = {
    name: 'server',
    image,
    imagePullPolicy: 'IfNotPresent',
    command: [node, '-e', serverProgram],
    env: [{ name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
    ports: [{ name: 'http', containerPort: 8080 }],
    readinessProbe: { httpGet: { path: '/', port: 'http' }, periodSeconds: 1 },
    volumeMounts: [{ name: 'data', mountPath: '/data' }],
    securityContext: nothing,
  };
  const spread = { maxSkew: 1, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: labels } };
  return [
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'echo-pods' }, spec: { clusterIP: 'None', selector: labels, ports: [{ port: 8080 }] } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'echo' }, spec: { selector: labels, ports: [{ port: 80, targetPort: 'http' }] } },
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'Ingress',
      metadata: { name: 'echo' },
      spec: { rules: [{ host, http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'echo', port: { number: 80 } } } }] } }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'echo' },
      spec: {
        serviceName: 'echo-pods',
        replicas: 3,
        podManagementPolicy: 'Parallel',
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: { securityContext: { ...nobody, fsGroup: 65_532 }, terminationGracePeriodSeconds: 1, topologySpreadConstraints: [spread], containers: [container] },
        },
        volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOncePod'], resources: { requests: { storage: '16Mi' } } } }],
      },
    },
  ];
}
