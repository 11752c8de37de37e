/** The way to other processes, as the options say. */

import { daysUntil, type Clock } from '../kernel/clock.ts';
import type { PodConfig } from '../kernel/config.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Random } from '../kernel/random.ts';
import { noMetrics, type Metrics } from '../telemetry/metrics.ts';
import type { Tracer } from '../telemetry/tracer.ts';
import type { PeerIdentity } from './peer-identity.ts';
import { openPeerTls } from './peer-tls-files.ts';
import { PeerTransport } from './peer-transport.ts';
import { podAddresses } from './pod-addresses.ts';

export type PeerConfig = Pick<PodConfig, 'namespace' | 'podAddresses' | 'internalTlsCertificate' | 'internalTlsKey' | 'internalTlsAuthority' | 'internalServerName' | 'internalRequireRoles'>;

export interface PeerParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly tracer?: Tracer;
  readonly metrics?: Metrics;
}

/** How often the certificate files are looked at. */
const tlsCheckIntervalMs = 10_000;

export function openPeers(config: PeerConfig, self: PeerIdentity, parts: PeerParts): PeerTransport {
  const { internalTlsCertificate: certificate, internalTlsKey: key, internalTlsAuthority: authority, internalServerName: serverName, internalRequireRoles: requireRoles, namespace } = config;
  const tls =
    certificate === undefined || key === undefined || authority === undefined
      ? undefined
      : openPeerTls({ certificate, key, authority }, { namespace, requireRoles, serverName }, { ...parts, checkIntervalMs: tlsCheckIntervalMs });
  if (tls !== undefined) (parts.metrics ?? noMetrics).observe('certificateDays', () => [{ labels: { certificate: 'internal' }, value: daysUntil(tls.expiresAtMs, parts.clock) }]);
  return new PeerTransport({ self, resolve: podAddresses(config.podAddresses, namespace), tls, ...parts });
}
