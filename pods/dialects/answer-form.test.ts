/** The small parts of answers and definitions: sizes, text. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { GetPointsRequest, GetPointsResponse, PointServiceDefinition } from '../../proto/gen/shoal/v1/point.ts';
import type { PointView } from '../domain/point.ts';
import { checkAnswerSize, type WireForm } from './answer-size.ts';
import { strictDefinition } from './grpc-definition.ts';

const sized = (count: number, dimension: number, payload: PointView['payload']): PointView[] =>
  Array.from({ length: count }, (_, index) => ({ id: `point-${index}`, version: 1, vector: new Float32Array(dimension).fill(0.5), ...(payload === undefined ? {} : { payload }) }));

const sizes: readonly [name: string, points: PointView[], form: WireForm, bytesMax: number, fits: boolean][] = [
  ['vectors below the limit', sized(10, 100, undefined), 'protobuf', 4_100, true],
  ['vectors above the limit', sized(10, 100, undefined), 'protobuf', 4_000, false],
  ['more in JSON than in protobuf', sized(10, 100, undefined), 'json', 4_100, false],
  ['payloads above the limit', sized(2, 1, { deep: [{ text: 'x'.repeat(3_000) }] }), 'protobuf', 4_100, false],
  ['payloads below the limit', sized(2, 1, { deep: [{ text: 'x'.repeat(2_000) }] }), 'protobuf', 4_100, true],
];
for (const [name, points, form, bytesMax, fits] of sizes) {
  test(`the size of an answer: ${name}`, () => {
    const check = (): void => checkAnswerSize(points, form, 'lower topK', bytesMax);
    if (fits) check();
    else assert.throws(check, { code: 'RESPONSE_TOO_LARGE', message: `the answer would be larger than ${bytesMax} bytes; lower topK`, details: { limit: bytesMax } });
  });
}

test('an answer that would fit is not refused by the estimate', () => {
  const points = sized(100, 64, { title: 'é'.repeat(10), n: 1.25, none: null, list: [1, 2, 3], yes: true });
  const message = GetPointsResponse.encode({
    points: points.map(({ id, vector, payload }) => ({ id, version: 1n, vector: Array.from(vector!), packedVector: new Uint8Array(0), payload, text: undefined })),
    missingIds: [],
  }).finish();
  checkAnswerSize(points, 'protobuf', '', message.length);
});

test('a definition made strict refuses text that is not UTF-8, and reads the rest as before', () => {
  const { getPoints } = strictDefinition(PointServiceDefinition);
  const request: GetPointsRequest = { collection: 'docs', ids: ['é', '\ufeffa'], includeVector: true, includePayload: undefined, packVectors: false, consistency: undefined };
  assert.deepEqual(getPoints.requestDeserialize(Buffer.from(GetPointsRequest.encode(request).finish())), request);
  const broken = new BinaryWriter().uint32(0x0a).bytes(Uint8Array.of(0xff, 0x61)).finish();
  assert.throws(() => getPoints.requestDeserialize(Buffer.from(broken)), TypeError);
});

test('an answer is encoded as the generated code does it, whatever was encoded before', () => {
  const { getPoints } = strictDefinition(PointServiceDefinition);
  const answer = (id: string, version = 1n): GetPointsResponse => ({
    points: [{ id, version, vector: [0.5], packedVector: new Uint8Array(0), payload: undefined, text: undefined }],
    missingIds: ['missing'],
  });
  const encodes = (message: GetPointsResponse): void => assert.deepEqual(getPoints.responseSerialize(message), Buffer.from(GetPointsResponse.encode(message).finish()));
  const first = getPoints.responseSerialize(answer('a'));
  encodes(answer('b'));
  assert.deepEqual(getPoints.responseDeserialize(first), answer('a'));
  assert.throws(() => getPoints.responseSerialize(answer('too large a version', 2n ** 64n)), /too large/);
  encodes(answer('c'));
  encodes(answer('long'.repeat(100_000)));
  encodes(answer('d'));
});
