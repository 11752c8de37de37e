/** Aim: docs/operator.md says what the chart grants the operator, no more and no less. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

/** Of the template: its rules are written out, and only some of them depend on values. */
function grantedRights(template: string): string[][] {
  const rule = /- apiGroups: \[(.*?)\]\n\s+resources: \[(.*?)\]\n(?:\s+resourceNames: \[(.*?)\]\n)?\s+verbs: \[(.*?)\]/g;
  return Array.from(template.matchAll(rule), ([, group, resources, names, verbs]) => {
    const limited = names === undefined ? '' : ` (${names})`;
    return [group === '""' ? 'core' : group!, `${resources}${limited}`, verbs!];
  });
}

test('the rights of the operator', () => {
  const lines = read('docs/operator.md').split('\n');
  const start = lines.indexOf('| group | resources | verbs |') + 2;
  const end = lines.findIndex((line, index) => index >= start && !line.startsWith('|'));
  const documented = lines.slice(start, end).map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim()));
  assert.deepEqual(documented, grantedRights(read('charts/shoal/templates/operator/access.yaml')));
});
