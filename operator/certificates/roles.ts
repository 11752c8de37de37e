/** Which certificates there are: one for each role of a namespace. The roles' meaning is in `pods/wire/peer-role.ts`. */

import { podsService } from '../desired/names.ts';
import type { LeafRequest } from './x509.ts';

export const certifiedRoles = ['pod', 'gateway', 'operator'] as const;
export type CertifiedRole = (typeof certifiedRoles)[number];

/** The Secret with `tls.crt`, `tls.key` and `ca.crt` that processes of this role know each other by. */
export function certificateSecret(role: CertifiedRole): string {
  return `shoal-${role}-internal-tls`;
}

/** Only pods listen, and are known by the name that each has in the headless Service. */
export function leafRequest(role: CertifiedRole, namespace: string): LeafRequest {
  const isServer = role === 'pod';
  return { commonName: `shoal ${role}`, uri: `shoal://${namespace}/${role}`, dnsNames: isServer ? [`*.${podsService}.${namespace}.svc`] : [], isServer };
}
