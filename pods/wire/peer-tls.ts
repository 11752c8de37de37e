/**
 * Mutual TLS between pods and gateways: a certificate, its key, and the authorities that both sides' certificates must come
 * from. All three can be renewed while it is in use: every new connection, in both directions, uses what was renewed last.
 * Connections that are open go on; `PeerTransport` ends those whose authority is trusted no more.
 */

import { X509Certificate } from 'node:crypto';
import { checkServerIdentity, createSecureContext, type PeerCertificate, type SecureContext } from 'node:tls';
import { ServerCredentials, credentials, type ChannelCredentials } from '@grpc/grpc-js';
import { ShoalError } from '../kernel/errors.ts';
import { certifiedHolder, type PeerRole } from './peer-role.ts';

/** PEM. */
export interface PeerTlsMaterial {
  /** The certificate, then those between it and its authority. */
  readonly certificate: Buffer;
  readonly key: Buffer;
  /** One authority, or several while one replaces the other. */
  readonly authorities: Buffer;
}

export interface PeerTlsOptions {
  /** Certificates that name a role must name this namespace too. */
  readonly namespace: string;
  /** Whether a certificate without a role is refused. */
  readonly requireRoles: boolean;
  /** The name that the certificates of pods carry, where it is not the host that they are reached by. */
  readonly serverName?: string | undefined;
}

interface Identity {
  readonly material: PeerTlsMaterial;
  readonly context: SecureContext;
  readonly own: X509Certificate;
  readonly authorities: readonly X509Certificate[];
}

export class PeerTls {
  readonly serverName: string | undefined;
  readonly #options: PeerTlsOptions;
  readonly #servers = new Set<MutualServerCredentials>();
  readonly #watchers = new Set<() => void>();
  readonly #closers = new Set<() => void>();
  #current: Identity;

  /** Throws when the material does not belong together. */
  constructor(material: PeerTlsMaterial, options: PeerTlsOptions) {
    this.serverName = options.serverName;
    this.#options = options;
    this.#current = identityOf(material);
  }

  /** Of the own certificate. */
  get fingerprint(): string {
    return this.#current.own.fingerprint256;
  }

  /** When the own certificate expires. */
  get expiresAtMs(): number {
    return this.#current.own.validToDate.getTime();
  }

  /** Throws when the material does not belong together, or has expired by then; what is in use stays in use. */
  renew(material: PeerTlsMaterial, nowMs: number): void {
    const next = identityOf(material);
    if (next.own.validToDate.getTime() <= nowMs) throw new Error(`the certificate expired at ${next.own.validToDate.toISOString()}`);
    this.#current = next;
    for (const server of this.#servers) server.renew(contextOptions(material));
  }

  /** Called from time to time, soon after every renewal among others: whoever has open connections looks at them again. */
  onCheck(watcher: () => void): void {
    this.#watchers.add(watcher);
  }

  check(): void {
    for (const watcher of this.#watchers) watcher();
  }

  /** Called when nobody uses it any more. */
  onClose(closer: () => void): void {
    this.#closers.add(closer);
  }

  close(): void {
    for (const closer of this.#closers) closer();
  }

  /** For connections made from now on. */
  channelCredentials(): ChannelCredentials {
    return credentials.createFromSecureContext(this.#current.context, { checkServerIdentity: (host, certificate) => checkServerIdentity(host, certificate) ?? this.#serverRefusal(certificate) });
  }

  serverCredentials(): ServerCredentials {
    const server = new MutualServerCredentials(contextOptions(this.#current.material));
    this.#servers.add(server);
    return server;
  }

  /**
   * The role of a certificate (DER) that the handshake took; undefined when it names none. PERMISSION_DENIED for one of
   * another namespace, and for one without a role where roles are demanded.
   */
  admit(certificate: Uint8Array | undefined): PeerRole | undefined {
    if (certificate === undefined) throw new ShoalError('PERMISSION_DENIED', 'it has shown no certificate');
    const holder = certifiedHolder(new X509Certificate(certificate).subjectAltName);
    const { namespace, requireRoles } = this.#options;
    if (holder === undefined) {
      if (requireRoles) throw new ShoalError('PERMISSION_DENIED', 'its certificate names no role, and --internal-require-roles is set');
      return undefined;
    }
    if (holder.namespace !== namespace) throw new ShoalError('PERMISSION_DENIED', `its certificate is of namespace ${holder.namespace}, and this is ${namespace}`);
    return holder.role;
  }

  /** Whether an authority of today has issued it. A certificate with others between it and its authority counts as issued by none. */
  trusts(certificate: Uint8Array): boolean {
    const held = new X509Certificate(certificate);
    return this.#current.authorities.some((authority) => held.checkIssued(authority) && held.verify(authority.publicKey));
  }

  /** Moves when `trusts` may answer otherwise than before. */
  get authoritiesKey(): string {
    return this.#current.authorities.map(({ fingerprint256 }) => fingerprint256).join();
  }

  #serverRefusal({ raw }: PeerCertificate): Error | undefined {
    try {
      const role = this.admit(raw);
      if (role !== undefined && role !== 'pod') return new Error(`its certificate is one of role ${role}, and only pods listen`);
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }
}

function contextOptions({ certificate, key, authorities }: PeerTlsMaterial) {
  return { cert: certificate, key, ca: authorities, minVersion: 'TLSv1.3' } as const;
}

/** Throws unless they belong together. */
function identityOf(material: PeerTlsMaterial): Identity {
  const authorities = (material.authorities.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((pem) => new X509Certificate(pem));
  // An authority that holds no certificate would be taken for one that nobody comes from.
  if (authorities.length === 0) throw new Error('the authority holds no certificate');
  return { material, context: createSecureContext(contextOptions(material)), own: new X509Certificate(material.certificate), authorities };
}

/** A client without a certificate of the authority does not get past the handshake. The library's own credentials keep the first files. */
class MutualServerCredentials extends ServerCredentials {
  constructor(options: ReturnType<typeof contextOptions>) {
    super({ requestCert: true, rejectUnauthorized: true }, options);
  }

  renew(options: ReturnType<typeof contextOptions>): void {
    this.updateSecureContextOptions(options);
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
