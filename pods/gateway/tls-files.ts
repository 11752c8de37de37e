/** The server's certificate and key, read from files that others renew: their content is looked at from time to time, and told to HTTP and gRPC alike. */

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Clock } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import type { Logger } from '../kernel/logger.ts';

export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
}

export interface TlsIdentity {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface TlsSource {
  readonly current: TlsIdentity;
  readonly expiresAtMs: number;
  /** The listener is called with every later identity; new connections use it without a restart. */
  onRenewed(listener: (identity: TlsIdentity) => void): void;
  close(): void;
}

/** INVALID_ARGUMENT when the files cannot be read or do not belong together. */
export function openTlsFiles(files: TlsFiles, { clock, logger, checkIntervalMs }: { clock: Clock; logger: Logger; checkIntervalMs: number }): TlsSource {
  const listeners: ((identity: TlsIdentity) => void)[] = [];
  let current: TlsIdentity;
  try {
    current = readIdentity(files);
    checkPair(current);
  } catch (cause) {
    throw new ShoalError('INVALID_ARGUMENT', `the files of --tls-cert and --tls-key cannot be used: ${(cause as Error).message}`, { cause });
  }
  let warnedOf = '';
  const check = (): void => {
    try {
      const now = readIdentity(files);
      if (!now.cert.equals(current.cert) || !now.key.equals(current.key)) {
        checkPair(now);
        current = now;
        for (const listener of listeners) listener(current);
        logger.info({ expiresAt: new Date(expiryOf(current)).toISOString() }, 'the TLS certificate was read anew');
      }
      warnedOf = '';
    } catch (error) {
      // Half-way through a renewal the two files may not match; the next check tries again.
      const { message } = error as Error;
      if (message !== warnedOf) logger.warn({ error: message }, 'the TLS certificate could not be read anew');
      warnedOf = message;
    }
    timer = clock.after(checkIntervalMs, check);
  };
  let timer = clock.after(checkIntervalMs, check);
  return {
    get current() {
      return current;
    },
    get expiresAtMs() {
      return expiryOf(current);
    },
    onRenewed: (listener) => void listeners.push(listener),
    close: () => timer.cancel(),
  };
}

function readIdentity({ certificate, key }: TlsFiles): TlsIdentity {
  return { cert: readFileSync(certificate), key: readFileSync(key) };
}

/** Throws unless the two belong together. */
function checkPair(identity: TlsIdentity): void {
  createSecureContext(identity);
}

function expiryOf({ cert }: TlsIdentity): number {
  return new X509Certificate(cert).validToDate.getTime();
}
