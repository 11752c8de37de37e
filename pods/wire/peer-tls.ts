/**
 * Mutual TLS between pods and gateways: a certificate, its key, and the authority that both sides' certificates must come
 * from, in files that others renew. The files are looked at from time to time; streams that are open go on, and every new
 * connection, in both directions, uses what was read last.
 */

import { readFileSync, statSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';
import { ServerCredentials, credentials, type ChannelCredentials } from '@grpc/grpc-js';
import type { Clock } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import type { Logger } from '../kernel/logger.ts';

export interface PeerTlsFiles {
  /** PEM: the certificate, then those between it and the authority. */
  readonly certificate: string;
  readonly key: string;
  /** PEM: the authority, or several while one replaces the other. */
  readonly authority: string;
  /** The name that the certificates of pods carry, where it is not the host that they are reached by. */
  readonly serverName?: string | undefined;
}

export interface PeerTls {
  readonly serverName: string | undefined;
  /** For connections made from now on. */
  channelCredentials(): ChannelCredentials;
  serverCredentials(): ServerCredentials;
  close(): void;
}

interface Identity {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
  readonly minVersion: 'TLSv1.3';
}

/** INVALID_ARGUMENT when the files cannot be read or do not belong together. */
export function openPeerTls(files: PeerTlsFiles, { clock, logger, checkIntervalMs }: { clock: Clock; logger: Logger; checkIntervalMs: number }): PeerTls {
  const stamp = (): string => [files.certificate, files.key, files.authority].map((file) => `${statSync(file).mtimeMs} ${statSync(file).ino}`).join();
  let seen: string;
  let current: { identity: Identity; context: SecureContext };
  try {
    seen = stamp();
    current = read(files);
  } catch (cause) {
    throw new ShoalError('INVALID_ARGUMENT', `the files of --internal-tls-cert, --internal-tls-key and --internal-tls-ca cannot be used: ${(cause as Error).message}`, {
      details: { field: 'internal-tls-cert' },
      cause,
    });
  }
  const servers = new Set<MutualServerCredentials>();
  const check = (): void => {
    try {
      const now = stamp();
      if (now !== seen) {
        current = read(files);
        seen = now;
        for (const server of servers) server.renew(current.identity);
        logger.info({}, 'the internal TLS certificate was read anew');
      }
    } catch (error) {
      // Half-way through a renewal the files may not match; the next check tries again.
      logger.warn({ error: (error as Error).message }, 'the internal TLS certificate could not be read anew');
    }
    timer = clock.after(checkIntervalMs, check);
  };
  let timer = clock.after(checkIntervalMs, check);
  return {
    serverName: files.serverName,
    channelCredentials: () => credentials.createFromSecureContext(current.context),
    serverCredentials() {
      const server = new MutualServerCredentials(current.identity);
      servers.add(server);
      return server;
    },
    close: () => timer.cancel(),
  };
}

/** Throws unless they belong together. */
function read(files: PeerTlsFiles): { identity: Identity; context: SecureContext } {
  const identity: Identity = { cert: readFileSync(files.certificate), key: readFileSync(files.key), ca: readFileSync(files.authority), minVersion: 'TLSv1.3' };
  // An authority that holds no certificate would be taken for one that nobody comes from.
  if (!identity.ca.includes('-----BEGIN CERTIFICATE-----')) throw new Error(`${files.authority} holds no certificate`);
  return { identity, context: createSecureContext(identity) };
}

/** A client without a certificate of the authority does not get past the handshake. The library's own credentials keep the first files. */
class MutualServerCredentials extends ServerCredentials {
  constructor(identity: Identity) {
    super({ requestCert: true, rejectUnauthorized: true }, identity);
  }

  renew(identity: Identity): void {
    this.updateSecureContextOptions(identity);
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
