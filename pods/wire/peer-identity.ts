/** Who speaks, and in which version of the protocol. */

import type { Hello } from '../../proto/gen/shoal/shard/v1/peer.ts';
import { ShoalError } from '../kernel/errors.ts';
import { malformed } from './malformed.ts';

export interface PeerIdentity {
  readonly role: 'pod' | 'gateway';
  /** Of the pod in Kubernetes, of a data pod and of a gateway alike. */
  readonly name: string;
  readonly podUID: string;
  /** Random per start of the process (rule W0). */
  readonly session: string;
}

export interface ProtocolVersions {
  readonly newest: number;
  readonly oldest: number;
}

/** A version speaks the one before it too, so that a cluster can be replaced pod by pod. */
export const protocolVersions: ProtocolVersions = { newest: 1, oldest: 1 };

export interface Greeting {
  readonly identity: PeerIdentity;
  readonly versions: ProtocolVersions;
  /** Whom the opener means to reach. */
  readonly to: string;
  readonly connection: string;
  readonly previous: string;
}

export function helloMessage({ identity, versions, to, connection, previous }: Greeting): Hello {
  const { role, name, podUID, session } = identity;
  return { newestVersion: versions.newest, oldestVersion: versions.oldest, role, name, podUid: podUID, session, to, connection, previous };
}

export function greetingOf(hello: Hello): Greeting {
  const { newestVersion, oldestVersion, role, name, podUid, session, to, connection, previous } = hello;
  if (role !== 'pod' && role !== 'gateway') throw malformed('a role is neither pod nor gateway');
  if (name === '' || session === '' || connection === '') throw malformed('a name, session or connection is empty');
  return { identity: { role, name, podUID: podUid, session }, versions: { newest: newestVersion, oldest: oldestVersion }, to, connection, previous };
}

/** The newest version that both speak. UNAVAILABLE when there is none. */
export function agreedVersion(own: ProtocolVersions, other: ProtocolVersions, otherName: string): number {
  const version = Math.min(own.newest, other.newest);
  if (version >= own.oldest && version >= other.oldest) return version;
  throw new ShoalError('UNAVAILABLE', `${otherName} speaks ${range(other)} of the internal protocol, this process ${range(own)}`, {
    details: { field: 'version', ownNewest: own.newest, ownOldest: own.oldest, otherNewest: other.newest, otherOldest: other.oldest },
  });
}

function range({ newest, oldest }: ProtocolVersions): string {
  return newest === oldest ? `version ${newest}` : `versions ${oldest} to ${newest}`;
}

/** A connection that is there or on its way when another process opens one. */
export interface PresentConnection {
  readonly id: string;
  readonly openedBySelf: boolean;
  /** Of the other side, once it has said so. */
  readonly session: string | undefined;
}

/**
 * Two pods may open a stream to each other at the same time; then both keep the one that the pod of the smaller name
 * opened. There is nothing to choose where the other side cannot mean the present one any more: it opened that one too, or
 * saw it end, or has started anew since.
 */
export function incomingSurvives(self: string, incoming: Greeting, present: PresentConnection | undefined): boolean {
  if (present === undefined || !present.openedBySelf || incoming.previous === present.id) return true;
  if (present.session !== undefined && present.session !== incoming.identity.session) return true;
  return incoming.identity.name < self;
}
