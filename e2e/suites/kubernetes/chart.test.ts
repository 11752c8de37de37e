/**
 * Aim: what the chart renders is what was looked at (`chart/*.yaml`; `SHOAL_UPDATE=1` writes them anew, to be read as a
 * diff), bad values are refused with their names, and a real API server takes every object.
 */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { dump } from 'js-yaml';
import { metricTable } from '../../../pods/telemetry/metric-names.ts';
import { storedObject, type Manifest } from '../../framework/kubernetes/apply.ts';
import { chartDirectory, lintChart, renderChart } from '../../framework/kubernetes/chart.ts';
import { startKubernetes, type Kubernetes } from '../../framework/kubernetes/kubernetes.ts';
import { namespaceFor } from '../../framework/kubernetes/metadata.ts';

const everything = {
  image: { repository: 'registry.example:5000/shoal', tag: 'v9', pullPolicy: 'Always', pullSecrets: ['registry'] },
  logLevel: 'warn',
  operator: { replicas: 3, applyCrds: false, nodeSelector: { a: 'b' }, tolerations: [{ operator: 'Exists' }], priorityClassName: 'high', podAnnotations: { note: 'operator' } },
  gateway: {
    replicas: 4,
    autoscaling: { enabled: false },
    otlpEndpoint: 'http://collector:4318',
    service: { type: 'LoadBalancer', annotations: { note: 'service' } },
    tlsSecretName: 'public-tls',
    nodeSelector: { a: 'b' },
    tolerations: [{ operator: 'Exists' }],
    priorityClassName: 'high',
    podAnnotations: { note: 'gateway' },
  },
  auth: { existingSecret: 'own-keys', secretKey: 'first' },
  pool: { replicas: 5, storage: { size: '1Ti', storageClassName: 'fast' }, nodeSelector: { a: 'b' }, tolerations: [{ operator: 'Exists' }] },
  dataPods: { volumeAccessMode: 'ReadWriteOnce' },
  ingress: {
    enabled: true,
    className: 'contour',
    annotations: { note: 'both' },
    http: { host: 'api.example.com', annotations: { note: 'http' }, tlsSecretName: 'web' },
    grpc: { host: 'grpc.example.com' },
    dialectHosts: { vectron: 'vectron.example.com' },
  },
  networkPolicies: { gatewayFrom: [{ namespaceSelector: { matchLabels: { a: 'b' } } }], metricsFrom: [{ podSelector: {} }] },
  monitoring: { serviceMonitor: { enabled: true, labels: { release: 'prometheus' } }, dashboards: { enabled: true } },
  internalTls: { issuer: 'cert-manager', issuerRef: { name: 'internal', kind: 'Issuer' } },
  uninstall: { withCollections: true },
};
const contour = [join(chartDirectory, 'values-contour.yaml')];

const renders: readonly [name: string, options: NonNullable<Parameters<typeof renderChart>[0]>][] = [
  ['defaults', { namespace: 'vectors', values: { auth: { existingSecret: 'keys' } } }],
  ['contour', { namespace: 'vectors', valueFiles: contour, values: { auth: { existingSecret: 'keys' } } }],
  ['everything', { namespace: 'vectors', values: everything }],
  ['little', { namespace: 'vectors', values: { auth: { existingSecret: 'keys' }, pool: { create: false }, podDisruptionBudgets: { enabled: false }, networkPolicies: { enabled: false }, topologySpread: [], gateway: { autoscaling: { enabled: false } } } }],
];

describe('golden renders', () => {
  for (const [name, options] of renders) {
    test(name, async () => {
      const path = join(import.meta.dirname, 'chart', `${name}.yaml`);
      const objects = (await renderChart(options)).filter(({ kind }) => kind !== 'CustomResourceDefinition');
      const rendered = objects.map((object) => dump(object, { lineWidth: -1 })).join('---\n');
      if (process.env['SHOAL_UPDATE'] === '1') writeFileSync(path, rendered);
      assert.equal(rendered, readFileSync(path, 'utf8'));
    });
  }
});

test('helm lint has nothing to say', async () => {
  for (const [, { values }] of renders) await lintChart(values);
});

describe('values that the schema refuses', () => {
  const cases: readonly [name: string, values: object, message: RegExp][] = [
    ['a name that is none', { gatway: {} }, /gatway/],
    ['a name that is none, deeper', { gateway: { autoscaling: { max: 3 } } }, /autoscaling.*max|max.*not allowed/s],
    ['a number of replicas in words', { operator: { replicas: 'two' } }, /operator\/replicas/],
    ['no operator', { operator: { replicas: 0 } }, /operator\/replicas/],
    ['a size that is no quantity', { pool: { storage: { size: '10 GB' } } }, /pool\/storage\/size/],
    ['a pool of 1001 pods', { pool: { replicas: 1001 } }, /pool\/replicas/],
    ['an unknown dialect', { ingress: { dialectHosts: { esperanto: 'a.example.com' } } }, /esperanto/],
    ['a host with a path', { ingress: { http: { host: 'example.com/api' } } }, /ingress\/http\/host/],
    ['an access mode for many', { dataPods: { volumeAccessMode: 'ReadWriteMany' } }, /volumeAccessMode/],
    ['cert-manager without an issuer', { internalTls: { issuer: 'cert-manager' } }, /issuerRef/],
    ['an unknown level', { logLevel: 'loud' }, /logLevel/],
    ['an annotation that is no string', { gateway: { service: { annotations: { weight: 1 } } } }, /annotations\/weight/],
  ];
  for (const [name, values, message] of cases) test(name, () => assert.rejects(renderChart({ values }), message));
});

describe('pods are as restricted as they can be', () => {
  for (const [name, options] of renders) {
    test(name, async () => {
      for (const { template, object } of podsOf(await renderChart(options))) {
        const { securityContext, containers, initContainers = [] } = template;
        assert.deepEqual([securityContext?.runAsNonRoot, securityContext?.seccompProfile?.type], [true, 'RuntimeDefault'], object);
        for (const container of [...containers, ...initContainers]) {
          assert.deepEqual(container.securityContext, { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } }, `${object}: ${container.name}`);
          assert.ok(container.resources?.requests?.['cpu'] !== undefined && container.resources.limits?.['memory'] !== undefined, `${object}: ${container.name} has no resources`);
        }
      }
    });
  }
});

test('the gRPC services that share a host with HTTP are all that there are', async () => {
  const objects = await renderChart({ values: { ingress: { enabled: true } } });
  const grpc = objects.find(({ kind, metadata }) => kind === 'Ingress' && metadata.name === 'shoal-grpc') as unknown as { spec: { rules: { http: { paths: { path: string }[] } }[] } };
  assert.deepEqual(grpc.spec.rules[0]!.http.paths.map(({ path }) => path.slice(1)).sort(), publicServices());
});

test('a first API key is made, another one each time, unless there is one', async () => {
  const keyOf = async (): Promise<string> => {
    const secret = (await renderChart()).find(({ kind }) => kind === 'Secret') as unknown as { data: Record<string, string>; metadata: { annotations: Record<string, string> } };
    assert.equal(secret.metadata.annotations['helm.sh/resource-policy'], 'keep');
    return Buffer.from(secret.data['api-key']!, 'base64').toString();
  };
  const [a, b] = [await keyOf(), await keyOf()];
  assert.match(a, /^[A-Za-z0-9]{40}$/);
  assert.notEqual(a, b);
  assert.equal((await renderChart({ values: { auth: { existingSecret: 'own' } } })).some(({ kind }) => kind === 'Secret'), false);
});

test('the dashboards ask for metrics that there are', () => {
  const dashboard = readFileSync(join(chartDirectory, 'dashboards', 'shoal.json'), 'utf8');
  const known = new Set(Object.values(metricTable).map(({ name }) => name as string));
  const asked = [...new Set(dashboard.match(/shoal_[a-z_]+/g))].map((name) => name.replace(/_bucket$/, ''));
  assert.ok(asked.length > 5);
  assert.deepEqual(asked.filter((name) => !known.has(name)), []);
});

describe('on a real API server', () => {
  let kubernetes: Kubernetes;
  before(async () => {
    kubernetes = await startKubernetes();
  });
  after(() => kubernetes.close());

  for (const [name, options] of renders) {
    test(`${name}: every object is taken, and keeps all that the chart says`, async () => {
      const namespace = await namespaceFor(kubernetes);
      const objects = await renderChart({ ...options, namespace });
      // Of the Prometheus operator and cert-manager, which are not there.
      const taken = objects.filter(({ apiVersion }) => !/^(monitoring\.coreos\.com|cert-manager\.io)\//.test(apiVersion));
      // Which a controller would make.
      await kubernetes.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace } }, ...taken);
      for (const object of taken) {
        const lost = lostFields(object, await storedObject(kubernetes.admin, object));
        assert.deepEqual(lost, [], `${object.kind} ${object.metadata.name}`);
      }
    });
  }
});

/** Those of the project's .proto files that are not between pods. */
function publicServices(): string[] {
  const { file } = fromBinary(FileDescriptorSetSchema, readFileSync(join(chartDirectory, '..', '..', 'proto', 'gen', 'descriptors.binpb')));
  const names = file.flatMap((each) => each.service.map(({ name }) => `${each.package}.${name}`));
  return names.filter((name) => !name.startsWith('shoal.shard.')).sort();
}

interface PodTemplate {
  readonly securityContext?: { readonly runAsNonRoot?: boolean; readonly seccompProfile?: { readonly type: string } };
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
}
interface Container {
  readonly name: string;
  readonly securityContext?: object;
  readonly resources?: { readonly requests?: Record<string, unknown>; readonly limits?: Record<string, unknown> };
}

function podsOf(objects: readonly Manifest[]): readonly { readonly object: string; readonly template: PodTemplate }[] {
  return objects.flatMap((object) => {
    const { spec } = object as unknown as { spec?: PodTemplate & { readonly template?: { readonly spec: PodTemplate } } };
    if (object.kind === 'Pod') return [{ object: object.metadata.name, template: spec! }];
    return spec?.template === undefined ? [] : [{ object: `${object.kind} ${object.metadata.name}`, template: spec.template.spec }];
  });
}

/** Paths of what was said and is not there: a field in the wrong place is dropped silently. */
function lostFields(said: unknown, stored: unknown, path = ''): string[] {
  if (Array.isArray(said)) return said.flatMap((item, index) => lostFields(item, (stored as unknown[] | undefined)?.[index], `${path}[${index}]`));
  if (typeof said !== 'object' || said === null) return stored === undefined ? [path] : isDeepStrictEqual(said, stored) || /resources\./.test(path) ? [] : [`${path}: ${JSON.stringify(stored)} instead of ${JSON.stringify(said)}`];
  if (Object.keys(said).length === 0) return [];
  if (typeof stored !== 'object' || stored === null) return [path];
  return Object.entries(said).flatMap(([key, value]) => lostFields(value, (stored as Record<string, unknown>)[key], `${path}.${key}`));
}
