/**
 * The operator's way to the data pods. Where it issues the internal certificates itself it needs no file of its own: what it
 * is to use comes from the authority that it keeps while it leads, and is exchanged when that is renewed. Otherwise the
 * files of the options are used, as by any other process.
 */

import type { PodClient, PodService } from '../pods/domain/pod-service.ts';
import { daysUntil, type Clock } from '../pods/kernel/clock.ts';
import type { OperatorConfig } from '../pods/kernel/config.ts';
import { ShoalError } from '../pods/kernel/errors.ts';
import type { Logger } from '../pods/kernel/logger.ts';
import type { Random } from '../pods/kernel/random.ts';
import type { Metrics } from '../pods/telemetry/metrics.ts';
import { openPeers } from '../pods/wire/open-peers.ts';
import type { PeerIdentity } from '../pods/wire/peer-identity.ts';
import { PeerTls, type PeerTlsMaterial } from '../pods/wire/peer-tls.ts';
import { PeerTransport } from '../pods/wire/peer-transport.ts';
import { podAddresses } from '../pods/wire/pod-addresses.ts';
import { CertificateKeeper, type Looked } from './certificates/certificate-keeper.ts';
import { kubeSecretStore } from './certificates/kube-secret-store.ts';
import type { ObjectWriter } from './runtime/apply.ts';

export interface PeersOptions {
  readonly config: OperatorConfig;
  readonly self: PeerIdentity;
  readonly writer: ObjectWriter;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

const hour = 3_600_000;

export class Peers implements PodClient {
  readonly #options: PeersOptions;
  #keeper: CertificateKeeper | undefined;
  #tls: PeerTls | undefined;
  #transport: PeerTransport | undefined;

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** Resolves when pods can be asked, and their certificates are there. To be called by whoever leads. */
  async open(): Promise<void> {
    const { config, self, clock, random, logger, metrics, writer } = this.#options;
    if (!config.podTls || !config.issuesCertificates) {
      this.#transport = openPeers(config, self, { clock, random, logger, metrics });
      return;
    }
    let seen: Looked | undefined;
    this.#keeper = new CertificateKeeper({
      store: kubeSecretStore(writer),
      namespace: config.namespace,
      times: { leafMs: config.certificateHours * hour, authorityMs: config.authorityHours * hour, overlapMs: config.authorityOverlapHours * hour },
      clock,
      logger,
      onLooked: (looked) => {
        seen = looked;
        this.#take(looked);
      },
    });
    metrics.observe('certificateDays', () => (seen?.authorityExpiresAtMs === undefined ? [] : [{ labels: { certificate: 'authority' }, value: daysUntil(seen.authorityExpiresAtMs, clock) }]));
    await this.#keeper.start();
    if (seen?.own === undefined) throw new ShoalError('UNAVAILABLE', `the operator has no certificate of its own: ${seen?.refusals.join('; ') ?? 'nothing was issued'}`);
    this.#tls = new PeerTls(materialOf(seen.own), { namespace: config.namespace, requireRoles: true, serverName: config.internalServerName });
    metrics.observe('certificateDays', () => [{ labels: { certificate: 'internal' }, value: daysUntil(this.#tls!.expiresAtMs, clock) }]);
    this.#transport = new PeerTransport({ self, resolve: podAddresses(config.podAddresses, config.namespace), tls: this.#tls, clock, random, logger, metrics });
  }

  pod(name: string): PodService {
    if (this.#transport === undefined) throw new ShoalError('UNAVAILABLE', 'the way to the pods is not open yet');
    return this.#transport.pod(name);
  }

  async close(): Promise<void> {
    await this.#keeper?.close();
    this.#transport?.close();
  }

  #take({ own }: Looked): void {
    if (own === undefined || this.#tls === undefined) return;
    this.#tls.renew(materialOf(own), this.#options.clock.nowMs());
    this.#tls.check();
  }
}

function materialOf({ certificate, key, authorities }: NonNullable<Looked['own']>): PeerTlsMaterial {
  return { certificate: Buffer.from(certificate), key: Buffer.from(key), authorities: Buffer.from(authorities) };
}
