/**
 * Where the program's own parts enter the simulation: what a process gets from its surroundings, and what the simulation
 * wants of it in return. `cluster-parts.ts` makes processes of the production classes out of these.
 */

import type { VectorApi } from '../../../pods/api/vector-api.ts';
import type { PodClient, PodService } from '../../../pods/domain/pod-service.ts';
import type { PointView } from '../../../pods/domain/point.ts';
import type { Clock } from '../../../pods/kernel/clock.ts';
import type { FileSystem } from '../../../pods/kernel/file-system.ts';
import type { Logger } from '../../../pods/kernel/logger.ts';
import type { Mutations } from '../../../pods/kernel/mutations.ts';
import type { Random } from '../../../pods/kernel/random.ts';
import type { ClusterMetadata } from '../../../pods/metadata/cluster-metadata.ts';
import type { ShardMember } from '../../../pods/metadata/objects.ts';
import type { Message, MessageTransport } from '../../../pods/replication/messages.ts';
import type { KeyValueStore } from '../../../pods/storage/key-value-store.ts';

export type NodeKind = 'pod' | 'gateway' | 'controller';

/** A pod as the Kubernetes API shows it to a controller. */
export interface PodFact {
  readonly name: string;
  readonly podUID: string;
  /** False while its container is down. */
  readonly isRunning: boolean;
  /** Its node is cordoned: replicas shall leave it. */
  readonly isDraining: boolean;
}

/** All of it ends with the process: nothing of it answers after a crash, and in a pause nothing answers. */
export interface NodeSurroundings {
  readonly name: string;
  /** Another one after the pod was replaced; the same after a restart of its container. */
  readonly podUID: string;
  readonly clock: Clock;
  /** Of this process alone: another seed at each start. */
  readonly random: Random;
  readonly logger: Logger;
  readonly metadata: ClusterMetadata;
  readonly transport: MessageTransport;
  readonly pods: PodClient;
  readonly mutations: Mutations;
  /** Messages and calls that come before these are called are dropped, or answered UNAVAILABLE. */
  onMessage(receive: (message: Message) => void): void;
  serve(service: PodService): void;
  /** The process wants to end: it is killed, and started again a little later. */
  onFailure(error: Error): void;
  /** All data pods, by the Kubernetes API: late, and UNAVAILABLE in an outage. */
  listPods(): Promise<readonly PodFact[]>;
}

export interface PodSurroundings extends NodeSurroundings {
  /** Directory of its own data. */
  readonly dataDirectory: string;
  readonly fileSystem: FileSystem;
  /** To be called once. */
  openStore(): KeyValueStore;
}

export interface SimulatedNode {
  /** An orderly end (SIGTERM). */
  close(): Promise<void>;
}

/** One replica just now, for the invariants. */
export interface ReplicaInspection {
  readonly collectionUID: string;
  readonly shardUID: string;
  readonly incarnation: string;
  readonly session: string;
  readonly role: 'waiting' | 'backup' | 'primary';
  /** A primary that has finished rule P2: it serves. */
  readonly serves: boolean;
  /** Of a primary the one it leads in, from its first instant. */
  readonly term: number;
  readonly durableSeq: number;
  readonly commitSeq: number;
  readonly appliedSeq: number;
  /** It answers reads that need not be linearizable. */
  readonly isReadable: boolean;
  /** Term of the entry at `seq`, as far as the log still knows. */
  termAt(seq: number): number | undefined;
  /** Of a primary: the committed inSync with members being added, without one being removed only after its CAS is confirmed. */
  readonly maximalInSync: readonly ShardMember[];
  /** Of a primary: what it knows of the object. */
  readonly authority: { readonly configVersion: number; readonly inSyncCount: number; readonly minInSync: number } | undefined;
  readonly quarantined: boolean;
}

export interface SimulatedPod extends SimulatedNode {
  inspect(): readonly ReplicaInspection[];
  /** Whose data is here, hosted or not (rule F1). */
  registered(): readonly { readonly shardUID: string; readonly incarnation: string; readonly localReplica: number }[];
  /** Every point of the replica here, with vector and payload, and the ids that its index reaches; for the quiet end. */
  readPoints(shardUID: string): Promise<{ readonly points: readonly PointView[]; readonly searchableIds: readonly string[] }>;
}

export interface SimulatedGateway extends SimulatedNode {
  readonly api: VectorApi;
}

/** The classes of production, put together. Each call is one start of a process; a rejection is a start that failed. */
export interface ClusterParts {
  pod(surroundings: PodSurroundings): Promise<SimulatedPod>;
  gateway(surroundings: NodeSurroundings): Promise<SimulatedGateway>;
  controller(surroundings: NodeSurroundings): Promise<SimulatedNode>;
}
