/**
 * Aim: the internal authority is replaced while clients write and read: nothing restarts, no request fails, no pod is ever
 * unready, and in the end the old authority opens nothing. A certificate that is deleted comes back.
 */
// Labels: security, certificates

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { connectCluster } from '../harness/connect.ts';
import { dayTwo } from '../harness/day-two.ts';
import { podsOf, type Pod } from '../harness/objects.ts';
import { clusterTimeoutsMs, waitUntil } from '../harness/wait.ts';

/** Longer than Kubernetes takes to bring a Secret into a volume. */
const overlapHours = 0.05;
const stepTimeoutMs = 2 * overlapHours * 3_600_000 + clusterTimeoutsMs.rollout;
const roles = ['pod', 'gateway', 'operator'] as const;

interface Secret {
  readonly data: Readonly<Record<string, string>>;
}

test('another internal authority under load', async (t) => {
  const cluster = await connectCluster(t);
  const shoal = await dayTwo(t, cluster);
  const { namespace } = shoal.installation;
  shoal.explain(t);
  await cluster.kubectl(['set', 'env', 'deployment/shoal-operator', '-n', namespace, `SHOAL_AUTHORITY_OVERLAP_HOURS=${overlapHours}`]);
  await cluster.kubectl(['rollout', 'status', 'deployment/shoal-operator', '-n', namespace, `--timeout=${clusterTimeoutsMs.rollout}ms`], { timeoutMs: clusterTimeoutsMs.rollout });
  await shoal.settled(3);

  const text = async (name: string, key: string): Promise<string> => {
    const { data } = await cluster.kubectlJson<Secret>(['get', 'secret', name, '-n', namespace]);
    return Buffer.from(data[key] ?? '', 'base64').toString();
  };
  const bundleOf = async (role: string): Promise<string[]> => ((await text(`shoal-${role}-internal-tls`, 'ca.crt')).match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? []).map((pem) => new X509Certificate(pem).fingerprint256);
  const authority = async (): Promise<X509Certificate> => new X509Certificate(await text('shoal-internal-ca', 'current.crt'));
  const processes = async (): Promise<Record<string, string>> => {
    const pods = [...(await podsOf(cluster, namespace, 'shoal.dev/role=data-pod')), ...(await podsOf(cluster, namespace, 'app.kubernetes.io/component=gateway'))];
    return Object.fromEntries(pods.map((pod) => [pod.metadata.name, `${pod.metadata.uid} restarts ${restartsOf(pod)}`]));
  };

  const [first, before] = [await authority(), await processes()];
  await shoal.underLoad(t, 'another internal authority', async () => {
    await cluster.kubectl(['annotate', 'secret', 'shoal-internal-ca', '-n', namespace, 'shoal.dev/rotate=now']);
    await waitUntil('both to be trusted', stepTimeoutMs, async () => {
      const bundles = await Promise.all(roles.map(bundleOf));
      return bundles.every((bundle) => bundle.length === 2) ? { value: undefined } : `bundles have ${bundles.map(({ length }) => length).join(', ')}`;
    });
    assert.equal((await authority()).fingerprint256, first.fingerprint256, 'the first one issues until the second is everywhere');
    // A certificate that is lost in between comes back, too.
    await cluster.kubectl(['delete', 'secret', 'shoal-gateway-internal-tls', '-n', namespace]);
    await waitUntil('the second one alone to be trusted', 2 * stepTimeoutMs, async () => {
      const [current, bundles] = [await authority(), await Promise.all(roles.map(bundleOf))];
      if (current.fingerprint256 === first.fingerprint256) return 'the first one still issues';
      return bundles.every((bundle) => bundle.length === 1 && bundle[0] === current.fingerprint256) ? { value: undefined } : `bundles have ${bundles.map(({ length }) => length).join(', ')}`;
    });
    // Into the volumes, and past the bound after which connections of the first one end.
    await new Promise((resolve) => setTimeout(resolve, 240_000));
  });
  assert.deepEqual(await processes(), before, 'nothing restarted');
  const second = await authority();
  for (const role of roles) assert.equal(new X509Certificate(await text(`shoal-${role}-internal-tls`, 'tls.crt')).verify(second.publicKey), true, role);
  await shoal.settled(3);
});

function restartsOf(pod: Pod): number {
  return (pod.status as { containerStatuses?: readonly { readonly restartCount: number }[] }).containerStatuses?.reduce((sum, { restartCount }) => sum + restartCount, 0) ?? 0;
}
