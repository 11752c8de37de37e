/**
 * Writes X.509 certificates: the adapter of the ASN.1 schemas, and the only place that imports them. Node makes the keys and
 * the signatures, and reads certificates; it has no means to write one.
 *
 *     authority    self-signed, may sign certificates and nothing else, none below it may
 *     leaf         a role's: client, or client and server, with its URI and DNS names; never an authority
 *
 * Keys are P-256, signatures ECDSA with SHA-256.
 */

import { createHash, createPublicKey, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_clientAuth,
  id_kp_serverAuth,
} from '@peculiar/asn1-x509';

export interface Lifetime {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** PEM. */
export interface CertifiedKey {
  readonly certificate: string;
  /** PKCS #8. */
  readonly key: string;
}

export interface LeafRequest {
  readonly commonName: string;
  readonly uri: string;
  readonly dnsNames: readonly string[];
  readonly isServer: boolean;
}

const ecdsaWithSha256 = '1.2.840.10045.4.3.2';
const commonNameType = '2.5.4.3';

export function makeAuthority(commonName: string, lifetime: Lifetime): CertifiedKey {
  const keys = newKeys();
  const self = { name: commonName, publicKey: keys.publicKey, privateKey: keys.privateKey };
  const extensions = [
    extension(id_ce_basicConstraints, new BasicConstraints({ cA: true, pathLenConstraint: 0 }), true),
    extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.keyCertSign), true),
    extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(keyIdentifier(keys.publicKey))),
  ];
  return { certificate: issue({ subject: commonName, publicKey: keys.publicKey, lifetime, extensions }, self), key: exported(keys.privateKey) };
}

/** `issuer` is one of `makeAuthority`. */
export function makeLeaf({ commonName, uri, dnsNames, isServer }: LeafRequest, lifetime: Lifetime, issuer: { readonly commonName: string; readonly privateKey: KeyObject }): CertifiedKey {
  const keys = newKeys();
  const issuing = { name: issuer.commonName, publicKey: createPublicKey(issuer.privateKey), privateKey: issuer.privateKey };
  const extensions = [
    extension(id_ce_basicConstraints, new BasicConstraints({ cA: false }), true),
    extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.digitalSignature), true),
    extension(id_ce_extKeyUsage, new ExtendedKeyUsage([...(isServer ? [id_kp_serverAuth] : []), id_kp_clientAuth])),
    extension(
      id_ce_subjectAltName,
      new SubjectAlternativeName([new GeneralName({ uniformResourceIdentifier: uri }), ...dnsNames.map((dNSName) => new GeneralName({ dNSName }))]),
    ),
    extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(keyIdentifier(keys.publicKey))),
    extension(id_ce_authorityKeyIdentifier, new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(keyIdentifier(issuing.publicKey)) })),
  ];
  return { certificate: issue({ subject: commonName, publicKey: keys.publicKey, lifetime, extensions }, issuing), key: exported(keys.privateKey) };
}

interface Subject {
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly lifetime: Lifetime;
  readonly extensions: Extension[];
}

function issue({ subject, publicKey, lifetime, extensions }: Subject, issuer: { readonly name: string; readonly privateKey: KeyObject }): string {
  const algorithm = new AlgorithmIdentifier({ algorithm: ecdsaWithSha256 });
  const content = new TBSCertificate({
    version: Version.v3,
    serialNumber: serialNumber(),
    signature: algorithm,
    issuer: nameOf(issuer.name),
    validity: new Validity({ notBefore: new Date(wholeSeconds(lifetime.notBeforeMs)), notAfter: new Date(wholeSeconds(lifetime.notAfterMs)) }),
    subject: nameOf(subject),
    subjectPublicKeyInfo: AsnConvert.parse(publicKey.export({ type: 'spki', format: 'der' }), SubjectPublicKeyInfo),
    extensions: new Extensions(extensions),
  });
  const signed = AsnConvert.serialize(content);
  const signature = sign('sha256', Buffer.from(signed), issuer.privateKey);
  const certificate = new Certificate({ tbsCertificate: content, tbsCertificateRaw: signed, signatureAlgorithm: algorithm, signatureValue: ownBuffer(signature) });
  const lines = Buffer.from(AsnConvert.serialize(certificate)).toString('base64').match(/.{1,64}/g)!;
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

function newKeys(): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function exported(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string;
}

function extension(extnID: string, value: object, critical = false): Extension {
  return new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
}

function nameOf(commonName: string): Name {
  return new Name([new RelativeDistinguishedName([new AttributeTypeAndValue({ type: commonNameType, value: new AttributeValue({ utf8String: commonName }) })])]);
}

/** Positive, of 127 random bits. */
function serialNumber(): ArrayBuffer {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return ownBuffer(bytes);
}

/** What names a key among those of one issuer's name (RFC 5280, 4.2.1.2): a hash of the key. */
function keyIdentifier(key: KeyObject): ArrayBuffer {
  return ownBuffer(createHash('sha256').update(key.export({ type: 'spki', format: 'der' })).digest().subarray(0, 20));
}

/** Certificates know no milliseconds. */
function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1_000) * 1_000;
}

function ownBuffer(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
