/**
 * What a certificate says of its holder, and what each may ask of a pod. The internal authority writes a name of this form
 * into every certificate (`operator/certificates`); that of another authority need not have one.
 *
 *     URI:shoal://<namespace>/<role>
 */

import { ShoalError } from '../kernel/errors.ts';
import type { PeerIdentity } from './peer-identity.ts';
import type { OperationName } from './operation.ts';

export const peerRoles = ['pod', 'gateway', 'operator'] as const;
export type PeerRole = (typeof peerRoles)[number];

export interface CertifiedHolder {
  readonly namespace: string;
  readonly role: PeerRole;
}

export function roleName({ namespace, role }: CertifiedHolder): string {
  return `shoal://${namespace}/${role}`;
}

/**
 * From a certificate's alternative names as `X509Certificate.subjectAltName` prints them. Undefined when none of them is
 * of our form. PERMISSION_DENIED when one tries to be and is not, or when there are two: nobody has two roles.
 */
export function certifiedHolder(subjectAltName: string | undefined): CertifiedHolder | undefined {
  const ours = alternativeNames(subjectAltName ?? '').filter((name) => /^URI:"?shoal:/i.test(name));
  if (ours.length === 0) return undefined;
  if (ours.length > 1) throw new ShoalError('PERMISSION_DENIED', `a certificate names ${ours.length} roles; it may name one`);
  const match = /^URI:shoal:\/\/([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)\/(pod|gateway|operator)$/.exec(ours[0]!);
  if (match === null) throw new ShoalError('PERMISSION_DENIED', `a certificate names the role ${ours[0]!.slice(0, 200)}, which is none of ${peerRoles.join(', ')} of a namespace`);
  return { namespace: match[1]!, role: match[2] as PeerRole };
}

/** They are joined by `, `; one that has a comma or a quote in it is in quotes, so that it cannot look like two. */
function alternativeNames(text: string): string[] {
  return text.match(/(?:[^,"]|"(?:[^"\\]|\\.)*"?)+/g)?.map((name) => name.trim()) ?? [];
}

/** Every operation has its line, so that a new one is not open to everybody by oversight. */
const mayAsk: Readonly<Record<OperationName, readonly PeerRole[]>> = {
  write: ['gateway'],
  deleteMatching: ['gateway'],
  get: ['gateway'],
  scroll: ['gateway'],
  count: ['gateway'],
  search: ['gateway'],
  getRecord: ['gateway'],
  scanRecords: ['gateway'],
  describe: ['gateway'],
  // A pod that ends asks the others whether they lead now; a gateway shows what they say.
  report: ['operator', 'gateway', 'pod'],
  nudge: ['operator'],
  stopWrites: ['operator'],
  snapshot: ['pod'],
};

/** Why a holder of this role may not ask for that; undefined when it may. Without a role the certificate says nothing, and all is allowed. */
export function operationRefusal(role: PeerRole | undefined, operation: OperationName): ShoalError | undefined {
  if (role === undefined || mayAsk[operation].includes(role)) return undefined;
  return new ShoalError('PERMISSION_DENIED', `${operation} is for ${mayAsk[operation].join(' and ')}, and the certificate is one of role ${role}`);
}

/** Replication messages are from pod to pod. */
export function mayReplicate(role: PeerRole | undefined): boolean {
  return role === undefined || role === 'pod';
}

/** PERMISSION_DENIED when somebody greets as what its certificate is not. Operators greet as gateways: both only ask. */
export function assertGreetsAs(role: PeerRole | undefined, greeted: PeerIdentity['role']): void {
  if (role === undefined || (role === 'pod') === (greeted === 'pod')) return;
  throw new ShoalError('PERMISSION_DENIED', `it greets as a ${greeted}, and its certificate is one of role ${role}`);
}
