/**
 * Mutual TLS whose material is in files that others renew, as Kubernetes does with the volume of a Secret: their content is
 * looked at from time to time. What cannot be used, because it is half written, damaged or expired, changes nothing.
 */

import { readFileSync } from 'node:fs';
import type { Clock } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import type { Logger } from '../kernel/logger.ts';
import { PeerTls, type PeerTlsMaterial, type PeerTlsOptions } from './peer-tls.ts';

export interface PeerTlsFiles {
  /** PEM: the certificate, then those between it and the authority. */
  readonly certificate: string;
  readonly key: string;
  /** PEM: the authority, or several while one replaces the other. */
  readonly authority: string;
}

/** INVALID_ARGUMENT when the files cannot be read or do not belong together. */
export function openPeerTls(files: PeerTlsFiles, options: PeerTlsOptions, { clock, logger, checkIntervalMs }: { clock: Clock; logger: Logger; checkIntervalMs: number }): PeerTls {
  let seen: PeerTlsMaterial;
  let tls: PeerTls;
  try {
    seen = read(files);
    tls = new PeerTls(seen, options);
  } catch (cause) {
    throw new ShoalError('INVALID_ARGUMENT', `the files of --internal-tls-cert, --internal-tls-key and --internal-tls-ca cannot be used: ${(cause as Error).message}`, {
      details: { field: 'internal-tls-cert' },
      cause,
    });
  }
  if (tls.expiresAtMs <= clock.nowMs()) logger.warn({ expiredAt: new Date(tls.expiresAtMs).toISOString() }, 'the internal TLS certificate has expired: nobody will talk to this process until it is renewed');
  let warnedOf = '';
  const check = (): void => {
    try {
      const now = read(files);
      if (!isSame(now, seen)) {
        tls.renew(now, clock.nowMs());
        seen = now;
        logger.info({ expiresAt: new Date(tls.expiresAtMs).toISOString() }, 'the internal TLS certificate was read anew');
      }
      warnedOf = '';
    } catch (error) {
      // Half-way through a renewal the files may not match; the next check tries again.
      const { message } = error as Error;
      if (message !== warnedOf) logger.warn({ error: message }, 'the internal TLS certificate could not be read anew; the one before stays in use');
      warnedOf = message;
    }
    tls.check();
    timer = clock.after(checkIntervalMs, check);
  };
  let timer = clock.after(checkIntervalMs, check);
  tls.onClose(() => timer.cancel());
  return tls;
}

function read(files: PeerTlsFiles): PeerTlsMaterial {
  return { certificate: readFileSync(files.certificate), key: readFileSync(files.key), authorities: readFileSync(files.authority) };
}

function isSame(one: PeerTlsMaterial, other: PeerTlsMaterial): boolean {
  return one.certificate.equals(other.certificate) && one.key.equals(other.key) && one.authorities.equals(other.authorities);
}
