/**
 * What is to be done next before an installation goes: everything that waits for the operator has to go while there is one.
 * Pure.
 *
 *     users' collections ─▶ the system's own ─▶ pools ─▶ nothing is left
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
  return removal('collections', users) ?? removal('collections', collections) ?? removal('pools', pools) ?? { action: 'done' };
}

/** Undefined when there is nothing of it. */
function removal(kind: 'collections' | 'pools', objects: readonly (VectorCollection | VectorPool)[]): UninstallStep | undefined {
  const next = objects.find((object) => !isDeleting(object));
  if (next !== undefined) return { action: 'delete', kind, name: next.metadata.name, resourceVersion: next.metadata.resourceVersion };
  if (objects.length === 0) return undefined;
  return { action: 'wait', because: `the operator removes ${objects.map((object) => reasonOf(kind, object)).join('; ')}` };
}

function reasonOf(kind: 'collections' | 'pools', { metadata, status }: VectorCollection | VectorPool): string {
  const said = status.conditions?.find(({ type }) => type === 'Progressing')?.message;
  return `${kind === 'pools' ? 'pool' : 'collection'} ${metadata.name}${said === undefined ? '' : ` (${said})`}`;
}
