/** The server's certificate and key, read from files that others renew: looked at from time to time, told to HTTP and gRPC alike. */

import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';
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
  /** The listener is called with every later identity; new connections use it without a restart. */
  onRenewed(listener: (identity: TlsIdentity) => void): void;
  close(): void;
}

/** INVALID_ARGUMENT when the files cannot be read or do not belong together. */
export function openTlsFiles(files: TlsFiles, { clock, logger, checkIntervalMs }: { clock: Clock; logger: Logger; checkIntervalMs: number }): TlsSource {
  const listeners: ((identity: TlsIdentity) => void)[] = [];
  const stamp = (): string => [files.certificate, files.key].map((file) => statSync(file).mtimeMs).join();
  let seen: string;
  let current: TlsIdentity;
  try {
    seen = stamp();
    current = readIdentity(files);
  } catch (cause) {
    throw new ShoalError('INVALID_ARGUMENT', `the files of --tls-cert and --tls-key cannot be used: ${(cause as Error).message}`, { cause });
  }
  const check = (): void => {
    try {
      const now = stamp();
      if (now !== seen) {
        current = readIdentity(files);
        seen = now;
        for (const listener of listeners) listener(current);
        logger.info({}, 'the TLS certificate was read anew');
      }
    } catch (error) {
      // Half-way through a renewal the two files may not match; the next check tries again.
      logger.warn({ error: (error as Error).message }, 'the TLS certificate could not be read anew');
    }
    timer = clock.after(checkIntervalMs, check);
  };
  let timer = clock.after(checkIntervalMs, check);
  return {
    get current() {
      return current;
    },
    onRenewed: (listener) => void listeners.push(listener),
    close: () => timer.cancel(),
  };
}

/** Throws unless the two belong together. */
function readIdentity({ certificate, key }: TlsFiles): TlsIdentity {
  const identity = { cert: readFileSync(certificate), key: readFileSync(key) };
  createSecureContext(identity);
  return identity;
}

/** Credentials of a gRPC server that follow the source. The library's own keep the first certificate. */
export class RenewableCredentials extends ServerCredentials {
  constructor(source: TlsSource) {
    super({ requestCert: false }, source.current);
    source.onRenewed((identity) => this.updateSecureContextOptions(identity));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
