/** Aim: every file that the documentation names exists, so that a reader who follows a name arrives. */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const pages = ['README.md', 'CHANGELOG.md', ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)];

test('files named in the documentation exist', () => {
  const missing = pages.flatMap((page) => {
    const text = readFileSync(join(root, page), 'utf8');
    const named = Array.from(text.matchAll(/`((?:pods|proto|e2e|tools|docs)\/[\w./-]*)`/g), ([, path]) => path!);
    return named.filter((path) => !existsSync(join(root, path))).map((path) => `${page}: ${path}`);
  });
  assert.deepEqual(missing, []);
});

test('links between pages lead to a page and a place in it', () => {
  const broken = pages.flatMap((page) => {
    const text = readFileSync(join(root, page), 'utf8');
    const links = Array.from(text.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g), ([, path, place]) => ({ path: path!, place }));
    return links.flatMap(({ path, place }) => {
      const target = path === '' ? page : join(dirname(page), path);
      const there = existsSync(join(root, target)) && (place === undefined || places(target).has(place));
      return there ? [] : [`${page}: ${path}${place === undefined ? '' : `#${place}`}`];
    });
  });
  assert.deepEqual(broken, []);
});

/** Anchors of a page: its own, and those that its headings get. */
function places(page: string): Set<string> {
  const text = readFileSync(join(root, page), 'utf8');
  const own = Array.from(text.matchAll(/<a id="([^"]+)">/g), ([, id]) => id!);
  const headings = Array.from(text.matchAll(/^#+ (.+)$/gm), ([, title]) => title!.toLowerCase().replaceAll(/[^\w\s-]/g, '').replaceAll(' ', '-'));
  return new Set([...own, ...headings]);
}
