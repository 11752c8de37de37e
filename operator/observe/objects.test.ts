import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSameNode, type SeenNode } from './objects.ts';

const node: SeenNode = {
  metadata: { name: 'n', uid: 'u', resourceVersion: '1', labels: { zone: 'a' } },
  spec: {},
  status: { conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }] },
};
const { metadata } = node;

/** What a node says again and again is no change; whatever the operator decides by is one. */
const cases: readonly (readonly [string, SeenNode | undefined, boolean])[] = [
  ['a heartbeat', { ...node, metadata: { ...metadata, resourceVersion: '2' }, status: { conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', lastTransitionTime: '2026-01-01T00:00:00Z' }] } }, true],
  ['cordoned', { ...node, spec: { unschedulable: true } }, false],
  ['out of service', { ...node, spec: { taints: [{ key: 'node.kubernetes.io/out-of-service', effect: 'NoExecute' }] } }, false],
  ['not ready', { ...node, status: { conditions: [{ type: 'Ready', status: 'Unknown', lastTransitionTime: '2026-01-01T00:01:00Z' }] } }, false],
  ['another zone', { ...node, metadata: { ...metadata, labels: { zone: 'b' } } }, false],
  ['another node of the name', { ...node, metadata: { ...metadata, uid: 'v' } }, false],
  ['gone', undefined, false],
];

for (const [what, now, isSame] of cases) {
  test(`${what} ${isSame ? 'is no change' : 'is a change'} of a node`, () => assert.equal(isSameNode(now, node), isSame));
}
