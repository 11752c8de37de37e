/**
 * Aim: over years, with two operators that overlap, fail and pause, with rotations asked for and Secrets lost, every process
 * trusts every certificate that another one uses, none expires in use, and each rotation comes to its end.
 */

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { seedOf } from '../../e2e/framework/seed.ts';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { ShoalError } from '../../pods/kernel/errors.ts';
import { silentLogger } from '../../pods/kernel/logger.ts';
import type { Random } from '../../pods/kernel/random.ts';
import { CertificateKeeper, type Looked } from './certificate-keeper.ts';
import { certificateSecret, certifiedRoles } from './roles.ts';
import { authoritySecret } from './rotation.ts';
import { bundleIn, rotateAnnotation, textOf } from './secrets.ts';
import { MemorySecrets } from './secret-store.fixture.ts';

const hour = 3_600_000;
const day = 24 * hour;
const times = { leafMs: 30 * day, authorityMs: 200 * day, overlapMs: 24 * hour };
const epoch = Date.parse('2026-01-01T00:00:00Z');

function scene(options: { readonly onLooked?: (looked: Looked) => void } = {}) {
  const clock = new SimulatedClock(epoch);
  const store = new MemorySecrets();
  const keeper = (): CertificateKeeper => new CertificateKeeper({ store, namespace: 'default', times, clock, logger: silentLogger, ...options });
  return { clock, store, keeper, is: (name: string, key: string) => textOf(store.secrets.get(name)!, key) };
}

test('the first look makes an authority and a certificate for each role; the second does nothing', async () => {
  const { store, keeper, is } = scene();
  const looked = await keeper().look();
  assert.deepEqual([...store.secrets.keys()].sort(), ['shoal-gateway-internal-tls', 'shoal-internal-ca', 'shoal-operator-internal-tls', 'shoal-pod-internal-tls']);
  const leaf = new X509Certificate(is('shoal-pod-internal-tls', 'tls.crt')!);
  assert.deepEqual(
    { names: leaf.subjectAltName, from: leaf.validFromDate.getTime(), to: leaf.validToDate.getTime(), hasAuthorityKey: Object.keys(store.secrets.get('shoal-pod-internal-tls')!.data!) },
    { names: 'URI:shoal://default/pod, DNS:*.shoal-pods.default.svc', from: epoch - hour, to: epoch + 30 * day, hasAuthorityKey: ['tls.crt', 'tls.key', 'ca.crt'] },
  );
  assert.deepEqual(store.secrets.get('shoal-pod-internal-tls')!.metadata.labels, { 'app.kubernetes.io/managed-by': 'shoal-operator', 'app.kubernetes.io/name': 'shoal', 'app.kubernetes.io/component': 'internal-tls' });
  assert.deepEqual([looked.own?.certificate, looked.own?.authorities, looked.refusals], [is('shoal-operator-internal-tls', 'tls.crt'), is(authoritySecret, 'current.crt'), []]);
  const writes = store.writeCount;
  await keeper().look();
  assert.equal(store.writeCount, writes);
});

test('Secrets of others are left alone, and named', async () => {
  const { store, keeper } = scene();
  store.put({ metadata: { name: 'shoal-gateway-internal-tls', labels: { app: 'cert-manager' }, annotations: {} }, type: 'kubernetes.io/tls', data: { 'tls.crt': 'eA==' } });
  const looked = await keeper().look();
  assert.match(looked.refusals.join(), /^Secret shoal-gateway-internal-tls is not the operator's/);
  assert.deepEqual(store.secrets.get('shoal-gateway-internal-tls')!.data, { 'tls.crt': 'eA==' });
  assert.equal(looked.own === undefined, false);
});

test('a damaged or exchanged part is made anew', async () => {
  const { store, keeper } = scene();
  await keeper().look();
  const name = certificateSecret('pod');
  const good = store.secrets.get(name)!;
  for (const data of [{ ...good.data, 'tls.key': store.secrets.get(certificateSecret('gateway'))!.data!['tls.key']! }, { ...good.data, 'tls.crt': 'eA==' }, {}, { ...store.secrets.get(certificateSecret('operator'))!.data }]) {
    store.put({ metadata: { name, labels: good.metadata.labels!, annotations: {} }, type: 'kubernetes.io/tls', data });
    await keeper().look();
    const repaired = store.secrets.get(name)!;
    assert.notEqual(repaired.data!['tls.crt'], good.data!['tls.crt']);
    assert.equal(new X509Certificate(textOf(repaired, 'tls.crt')!).subjectAltName, 'URI:shoal://default/pod, DNS:*.shoal-pods.default.svc');
  }
});

test('it goes on after failures, tells what the operator is to use after each look, and ends', async () => {
  const told: Looked[] = [];
  const { clock, store, keeper } = scene({ onLooked: (looked) => void told.push(looked) });
  let failures = 3;
  store.before = () => (failures-- > 0 ? Promise.reject(new ShoalError('UNAVAILABLE', 'away')) : Promise.resolve());
  const running = keeper();
  let isReady = false;
  void running.start().then(() => (isReady = true));
  const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));
  while (told.length < 3) {
    await turn();
    clock.advance(60_000);
  }
  assert.equal(isReady, true);
  await running.close();
  const count = told.length;
  clock.advance(day);
  await turn();
  assert.equal(told.length, count);
});

// ------------------------------------------------------------- simulation

interface Process {
  readonly secret: string;
  certificate: X509Certificate;
  bundle: readonly X509Certificate[];
  readAtMs: number;
}

const verified = new Map<string, boolean>();
function isTrusted(certificate: X509Certificate, bundle: readonly X509Certificate[]): boolean {
  return bundle.some((authority) => {
    const key = certificate.fingerprint256 + authority.fingerprint256;
    let known = verified.get(key);
    if (known === undefined) verified.set(key, (known = certificate.checkIssued(authority) && certificate.verify(authority.publicKey)));
    return known;
  });
}

const chance = (random: Random, probability: number): boolean => random.fraction() < probability;

async function simulate(random: Random, days: number): Promise<{ readonly authorities: number; readonly losses: number }> {
  const { clock, store, keeper } = scene();
  // Answers in random order; some are lost, before or after the write took place.
  store.before = async () => {
    for (let turns = Math.floor(random.fraction() * 4); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
    if (chance(random, 0.03)) throw new ShoalError('UNAVAILABLE', 'away');
  };
  store.after = () => {
    if (chance(random, 0.03)) throw new ShoalError('OUTCOME_UNKNOWN', 'the answer was lost');
  };
  const operators = [keeper(), keeper()];
  /** Looks until one ended well: an operator that is away for long is not what this is about. */
  const lookAround = async (): Promise<void> => {
    for (;;) {
      const looks = operators.filter(() => chance(random, 0.6)).map((operator) => operator.look().then(() => true, () => false));
      if ((await Promise.all(looks)).includes(true)) return;
    }
  };
  const read = (process: Pick<Process, 'secret'>): Omit<Process, 'secret'> => {
    const secret = store.secrets.get(process.secret)!;
    return { certificate: new X509Certificate(textOf(secret, 'tls.crt')!), bundle: bundleIn(secret), readAtMs: clock.nowMs() };
  };
  await lookAround();
  await lookAround();
  const processes: Process[] = [...certifiedRoles, ...certifiedRoles].map((role) => ({ secret: certificateSecret(role), ...read({ secret: certificateSecret(role) }) }));
  const authorities = new Set<string>();
  let losses = 0;
  while (clock.nowMs() < epoch + days * day) {
    clock.advance(random.fraction() * 8 * hour);
    if (chance(random, 0.002)) {
      const held = store.secrets.get(authoritySecret);
      if (held !== undefined) store.secrets.set(authoritySecret, { ...held, metadata: { ...held.metadata, annotations: { ...held.metadata.annotations, [rotateAnnotation]: 'now' } } });
    }
    const hasCurrent = store.secrets.get(authoritySecret)?.data?.['current.key'] !== undefined;
    if (hasCurrent && chance(random, 0.001)) {
      losses++;
      store.secrets.delete(authoritySecret);
    } else if (hasCurrent && chance(random, 0.002)) {
      store.secrets.delete(certificateSecret('pod'));
    }
    await lookAround();
    // Each takes up what is there in its own time, within the overlap less the time between two steps here.
    for (const process of processes) {
      if (store.secrets.has(process.secret) && (chance(random, 0.1) || clock.nowMs() - process.readAtMs > 15 * hour)) Object.assign(process, read(process));
    }
    for (const holder of processes) {
      assert(holder.certificate.validToDate.getTime() > clock.nowMs(), `the certificate of ${holder.secret} expired in use`);
      for (const { secret, bundle } of processes) assert(isTrusted(holder.certificate, bundle), `${secret} does not trust ${holder.secret} at ${new Date(clock.nowMs()).toISOString()}`);
    }
    const material = store.secrets.get(authoritySecret);
    const current = material && textOf(material, 'current.crt');
    if (current !== undefined) authorities.add(current);
  }
  // Left alone, whatever goes on comes to its end.
  store.before = () => Promise.resolve();
  store.after = () => undefined;
  for (let step = 0; step < 20; step++) {
    await operators[0]!.look();
    clock.advance(6 * hour);
  }
  await operators[0]!.look();
  const held = store.secrets.get(authoritySecret)!;
  if (held.metadata.annotations?.[rotateAnnotation] === undefined) assert.deepEqual(Object.keys(held.data!).sort(), ['current.crt', 'current.key', 'previous.crt']);
  return { authorities: authorities.size, losses };
}

test('everybody trusts everybody, always', { timeout: 120_000 }, async (t: TestContext) => {
  const { random } = seedOf(t);
  const { authorities, losses } = await simulate(random, 300);
  t.diagnostic(`${authorities} authorities, ${losses} lost`);
  assert(authorities >= 2, 'at least those that had to be replaced for their age');
});
