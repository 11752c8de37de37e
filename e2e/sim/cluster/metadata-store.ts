/**
 * The consensus store of a simulated cluster, as it really is: objects, versions, compare-and-swap, finalizers, and the
 * rules that an API server guards. Processes see it through `metadata-client.ts`, with all that lies between.
 *
 * Objects are frozen, so they may be handed out as they are.
 */

import { isDeepStrictEqual } from 'node:util';
import { ShoalError } from '../../../pods/kernel/errors.ts';
import type { Random } from '../../../pods/kernel/random.ts';
import type { ClusterMetadata, NewObject, StoredObject } from '../../../pods/metadata/cluster-metadata.ts';
import { initialStatus, type ObjectMetadata, type VectorCollection, type VectorPool, type VectorShard } from '../../../pods/metadata/objects.ts';
import { copyOf } from './copy.ts';
import type { Scheduler } from './scheduler.ts';

export type Kind = keyof ClusterMetadata;
export const kinds: readonly Kind[] = ['collections', 'pools', 'shards'];

interface ObjectOf {
  readonly collections: VectorCollection;
  readonly pools: VectorPool;
  readonly shards: VectorShard;
}

/** What the API server knows of who writes: the bound token of a data pod, or nothing of interest. */
export interface Writer {
  readonly name: string;
  readonly podUID?: string;
}

export interface MetadataRules {
  /** Rule G1: why the change may not be, or undefined. `previous` is undefined for an object that is new. */
  checkShard?(previous: VectorShard | undefined, next: VectorShard): string | undefined;
  /** Admission: why this writer may not make the change, or undefined; `next` is undefined for a deletion. */
  checkWriter?(writer: Writer, kind: Kind, previous: StoredObject | undefined, next: StoredObject | undefined): string | undefined;
  /** A write with an empty resourceVersion is unconditional, as a patch without one would be: for that mutation only. */
  readonly allowUnconditional?: boolean;
}

export interface Backup {
  readonly takenAtMs: number;
  readonly revision: number;
  readonly objects: Readonly<Record<Kind, ReadonlyMap<string, StoredObject>>>;
}

export type Change = (kind: Kind, name: string, object: StoredObject | undefined) => void;

export class SimulatedMetadataStore {
  readonly counts = { writes: 0, conflicts: 0, ruleRefusals: 0, writerRefusals: 0 };
  /** Changes that rule G1 or the admission policy refused: correct code asks for none. */
  readonly refusals: string[] = [];
  /** How often it has been restored from a backup. Requests that were under way then have lost their connection. */
  restoreCount = 0;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #rules: MetadataRules;
  readonly #objects: Record<Kind, Map<string, StoredObject>> = { collections: new Map(), pools: new Map(), shards: new Map() };
  readonly #watchers = new Set<{ readonly changed: Change; readonly reset: () => void }>();
  #revision = 0;

  constructor(options: { readonly scheduler: Scheduler; readonly random: Random; readonly rules?: MetadataRules }) {
    this.#scheduler = options.scheduler;
    this.#random = options.random;
    this.#rules = options.rules ?? {};
  }

  get wasRestored(): boolean {
    return this.restoreCount > 0;
  }

  get<K extends Kind>(kind: K, name: string): ObjectOf[K] | undefined {
    return this.#objects[kind].get(name) as ObjectOf[K] | undefined;
  }

  list<K extends Kind>(kind: K): readonly ObjectOf[K][] {
    return [...this.#objects[kind].values()] as unknown as ObjectOf[K][];
  }

  shardByUID(uid: string): VectorShard | undefined {
    return this.list('shards').find((shard) => shard.metadata.uid === uid);
  }

  create<K extends Kind>(writer: Writer, kind: K, asked: NewObject<ObjectOf[K]>): ObjectOf[K] {
    const { name, labels, finalizers = [] } = asked.metadata;
    if (this.#objects[kind].has(name)) this.#refuse('conflicts', 'CONFLICT', `an object named "${name}" exists`);
    const metadata: ObjectMetadata = {
      name,
      labels,
      finalizers,
      ...optional(asked.metadata),
      uid: this.#random.uuid(),
      resourceVersion: '',
      generation: 1,
      creationTimestampMs: Math.floor(this.#scheduler.nowMs / 1_000) * 1_000,
    };
    return this.#store(writer, kind, undefined, { metadata, spec: asked.spec, status: initialStatus[kind] }) as unknown as ObjectOf[K];
  }

  replace<K extends Kind>(writer: Writer, kind: K, object: ObjectOf[K]): ObjectOf[K] {
    const stored = this.#current(kind, object.metadata);
    const isSpecNew = !isDeepStrictEqual(stored.spec, object.spec);
    const { annotations: _, ownerReferences: __, ...kept } = stored.metadata;
    const metadata: ObjectMetadata = {
      ...kept,
      labels: object.metadata.labels,
      finalizers: object.metadata.finalizers,
      ...optional(object.metadata),
      generation: stored.metadata.generation + (isSpecNew ? 1 : 0),
    };
    return this.#store(writer, kind, stored, { metadata, spec: object.spec, status: stored.status }) as unknown as ObjectOf[K];
  }

  replaceStatus<K extends Kind>(writer: Writer, kind: K, object: ObjectOf[K]): ObjectOf[K] {
    const stored = this.#current(kind, object.metadata);
    const status = object.metadata.resourceVersion === '' ? patched(stored.status as VectorShard['status'], object.status as VectorShard['status']) : object.status;
    return this.#store(writer, kind, stored, { ...stored, status }) as unknown as ObjectOf[K];
  }

  delete(writer: Writer, kind: Kind, name: string, resourceVersion: string): void {
    const stored = this.#current(kind, { name, resourceVersion });
    this.#check(writer, kind, stored, undefined);
    if (stored.metadata.finalizers.length === 0) return this.#remove(kind, name);
    if (stored.metadata.deletionTimestampMs !== undefined) return;
    const metadata = { ...stored.metadata, deletionTimestampMs: Math.floor(this.#scheduler.nowMs), generation: stored.metadata.generation + 1 };
    this.#put(kind, { ...stored, metadata });
  }

  /** Somebody else changes something that nobody here looks at: a compare-and-swap that is under way will conflict. */
  touch(kind: Kind, name: string): void {
    const stored = this.#objects[kind].get(name);
    if (stored !== undefined) this.#put(kind, stored);
  }

  onChange(watcher: { readonly changed: Change; readonly reset: () => void }): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  // ------------------------------------------------------------ backups

  backup(): Backup {
    const objects = Object.fromEntries(kinds.map((kind) => [kind, new Map(this.#objects[kind])])) as unknown as Backup['objects'];
    return { takenAtMs: this.#scheduler.nowMs, revision: this.#revision, objects };
  }

  /**
   * The store becomes what it was. Versions start over from the backup's, so that one version may name two contents, unless
   * whoever restores raises them, as the manual of the store says.
   */
  restore(backup: Backup, options: { readonly raiseVersions: boolean }): void {
    this.restoreCount++;
    if (!options.raiseVersions) this.#revision = backup.revision;
    for (const kind of kinds) {
      this.#objects[kind].clear();
      for (const [name, object] of backup.objects[kind]) this.#objects[kind].set(name, object);
    }
    this.#scheduler.trace.line('metadata', `restored to revision ${backup.revision}${options.raiseVersions ? ', versions go on' : ''}`);
    for (const watcher of this.#watchers) watcher.reset();
  }

  /**
   * Somebody who knows what was lost puts it back after a restore: what has not changed since becomes what it was before,
   * what had been deleted goes again. Versions only grow.
   */
  putBack(lost: Backup, restored: Backup): void {
    this.#revision = Math.max(this.#revision, lost.revision);
    for (const kind of kinds) {
      for (const [name, object] of restored.objects[kind]) {
        if (!lost.objects[kind].has(name) && this.#objects[kind].get(name) === object) this.#remove(kind, name);
      }
      for (const [name, object] of lost.objects[kind]) {
        const present = this.#objects[kind].get(name);
        const isUntouched = present === undefined || present === restored.objects[kind].get(name) || authorityOf(present) === authorityOf(restored.objects[kind].get(name));
        if (isUntouched && present !== object) this.#put(kind, object);
      }
    }
  }

  // ------------------------------------------------------------ writing

  #current(kind: Kind, asked: { readonly name: string; readonly resourceVersion: string; readonly uid?: string }): StoredObject {
    const stored = this.#objects[kind].get(asked.name);
    const isUnconditional = this.#rules.allowUnconditional === true && asked.resourceVersion === '';
    const isSame = stored !== undefined && (asked.uid ?? stored.metadata.uid) === stored.metadata.uid && (isUnconditional || stored.metadata.resourceVersion === asked.resourceVersion);
    if (isSame) return stored;
    return this.#refuse('conflicts', 'CONFLICT', `"${asked.name}" has resourceVersion ${stored?.metadata.resourceVersion ?? 'none'}, not ${asked.resourceVersion}`);
  }

  #store(writer: Writer, kind: Kind, previous: StoredObject | undefined, next: StoredObject): StoredObject {
    this.#check(writer, kind, previous, next);
    // As on an API server: what changes nothing gives no new version.
    if (previous !== undefined && isDeepStrictEqual({ ...previous }, { ...next })) return previous;
    const { metadata } = next;
    if (metadata.deletionTimestampMs !== undefined && metadata.finalizers.length === 0) {
      const gone = this.#frozen(next);
      this.#remove(kind, metadata.name);
      return gone;
    }
    return this.#put(kind, next);
  }

  #check(writer: Writer, kind: Kind, previous: StoredObject | undefined, next: StoredObject | undefined): void {
    const notByHim = this.#rules.checkWriter?.(writer, kind, previous, next);
    if (notByHim !== undefined) this.#refuse('writerRefusals', 'PERMISSION_DENIED', `${writer.name}: ${notByHim}`);
    if (kind !== 'shards' || next === undefined) return;
    const broken = this.#rules.checkShard?.(previous as VectorShard | undefined, next as VectorShard);
    if (broken !== undefined) this.#refuse('ruleRefusals', 'INVALID_ARGUMENT', `${writer.name} writes "${next.metadata.name}": ${broken}`);
  }

  #put(kind: Kind, object: StoredObject): StoredObject {
    this.counts.writes++;
    const stored = this.#frozen(object);
    this.#objects[kind].set(stored.metadata.name, stored);
    this.#scheduler.trace.line('metadata', `${kind}/${stored.metadata.name} is now ${stored.metadata.resourceVersion}${describe(kind, stored)}`);
    for (const watcher of this.#watchers) watcher.changed(kind, stored.metadata.name, stored);
    return stored;
  }

  #remove(kind: Kind, name: string): void {
    this.counts.writes++;
    this.#revision++;
    this.#objects[kind].delete(name);
    this.#scheduler.trace.line('metadata', `${kind}/${name} is gone`);
    for (const watcher of this.#watchers) watcher.changed(kind, name, undefined);
  }

  #frozen(object: StoredObject): StoredObject {
    const metadata = { ...object.metadata, resourceVersion: String(++this.#revision) };
    return deepFreeze(copyOf({ metadata, spec: object.spec, status: object.status }));
  }

  #refuse(what: 'conflicts' | 'ruleRefusals' | 'writerRefusals', code: 'CONFLICT' | 'INVALID_ARGUMENT' | 'PERMISSION_DENIED', message: string): never {
    this.counts[what]++;
    if (what !== 'conflicts') {
      this.refusals.push(message);
      this.#scheduler.trace.line('metadata', `refused: ${message}`);
    }
    throw new ShoalError(code, message);
  }
}

/** What a patch without a version does that names the set in sync: the rest stays as it has come to be. */
function patched(stored: VectorShard['status'], { authority, nonce }: VectorShard['status']): VectorShard['status'] {
  if (stored.authority === undefined || authority === undefined) return stored;
  const { inSync, configVersion } = authority;
  return { ...stored, authority: { ...stored.authority, inSync, configVersion }, ...(nonce === undefined ? {} : { nonce }) };
}

function describe(kind: Kind, object: StoredObject): string {
  if (kind !== 'shards') return '';
  const { spec, status } = object as VectorShard;
  const { authority } = status;
  if (authority === undefined) return ` ${status.phase} for ${spec.replicas.join('+')}`;
  const members = authority.inSync.map(({ pod, incarnation }) => `${pod}/${incarnation.slice(0, 4)}`).join('+');
  return ` term ${authority.term} primary ${authority.primary.pod} inSync ${members} v${authority.configVersion}`;
}

/** What an object need not have. */
function optional({ annotations, ownerReferences }: Pick<ObjectMetadata, 'annotations' | 'ownerReferences'>): Pick<ObjectMetadata, 'annotations' | 'ownerReferences'> {
  return { ...(annotations === undefined ? {} : { annotations }), ...(ownerReferences === undefined ? {} : { ownerReferences }) };
}

/** What must not have moved; conditions may have. */
function authorityOf(object: StoredObject | undefined): string {
  return object === undefined ? '' : JSON.stringify([object.metadata.uid, (object.status as VectorShard['status']).authority]);
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const item of Object.values(value)) deepFreeze(item);
  return Object.freeze(value);
}
