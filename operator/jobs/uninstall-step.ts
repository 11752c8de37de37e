/**
 * What is to be done next before an installation goes: everything that waits for the operator has to go while there is one.
 * Pure.
 *
 *     users' collections ─▶ pools are told to go ─▶ the system's own collection ─▶ pools have gone ─▶ nothing is left
 *
 * A pool that is told to go keeps its pods for as long as shards are on them; one that is not would be given a new system
 * collection as soon as its own has gone.
 */

import { isDeleting, systemLabel, type VectorCollection, type VectorPool } from '../../pods/metadata/objects.ts';

export type UninstallStep =
  | { readonly action: 'refuse'; readonly because: string }
  | { readonly action: 'delete'; readonly kind: 'collections' | 'pools'; readonly name: string; readonly resourceVersion: string }
  | { readonly action: 'wait'; readonly because: string }
  | { readonly action: 'done' };

export interface Installed {
  readonly collections: readonly VectorCollection[];
  readonly pools: readonly VectorPool[];
}

const namedCountMax = 5;

export function nextUninstallStep({ collections, pools }: Installed, { withCollections }: { readonly withCollections: boolean }): UninstallStep {
  const users = collections.filter(({ metadata }) => metadata.labels[systemLabel] === undefined);
  const wanted = users.filter((collection) => !isDeleting(collection));
  if (wanted.length > 0 && !withCollections) {
    const names = wanted.slice(0, namedCountMax).map(({ spec }) => `"${spec.name}"`).join(', ');
    const more = wanted.length > namedCountMax ? ` and ${wanted.length - namedCountMax} more` : '';
    const are = wanted.length === 1 ? 'is 1 collection' : `are ${wanted.length} collections`;
    return { action: 'refuse', because: `there ${are}: ${names}${more}. Delete them first, or set uninstall.withCollections=true, which deletes them with the installation` };
  }
  return removal('collections', users) ?? deletion('pools', pools) ?? removal('collections', collections) ?? removal('pools', pools) ?? { action: 'done' };
}

type Kind = 'collections' | 'pools';
type Objects = readonly (VectorCollection | VectorPool)[];

/** Undefined when there is nothing of it. */
function removal(kind: Kind, objects: Objects): UninstallStep | undefined {
  if (objects.length === 0) return undefined;
  return deletion(kind, objects) ?? { action: 'wait', because: `the operator removes ${objects.map((object) => reasonOf(kind, object)).join('; ')}` };
}

/** Undefined when all of them have been told to go. */
function deletion(kind: Kind, objects: Objects): UninstallStep | undefined {
  const next = objects.find((object) => !isDeleting(object));
  return next === undefined ? undefined : { action: 'delete', kind, name: next.metadata.name, resourceVersion: next.metadata.resourceVersion };
}

function reasonOf(kind: Kind, { metadata, status }: VectorCollection | VectorPool): string {
  const said = status.conditions?.find(({ type }) => type === 'Progressing')?.message;
  return `${kind === 'pools' ? 'pool' : 'collection'} ${metadata.name}${said === undefined ? '' : ` (${said})`}`;
}
