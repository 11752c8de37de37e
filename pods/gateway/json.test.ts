import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limits } from '../kernel/limits.ts';
import { parseJson } from './json.ts';

const parse = (text: string): unknown => parseJson(Buffer.from(text));

test('valid bodies are parsed', () => {
  const deepest = limits.jsonDepthMax;
  for (const text of ['{}', '[]', '1', 'null', '"a\\\\"', '{"a":{"a":[{"a":"a"},{"a":":"}]},"b":"\\"a\\":"}', '{"a\\u0062":1,"ac":[1,2.5e-3]}', '{ "a" : 1 , "b"\n:2}', '{"":0,"ä":1}', '['.repeat(deepest) + ']'.repeat(deepest)]) {
    assert.deepEqual(parse(text), JSON.parse(text), text);
  }
});

const refused: [body: string | Buffer, message: string][] = [
  ['', 'the body is not valid JSON'],
  ['{"a":1', 'the body is not valid JSON, at position 6'],
  ['{"a":NaN}', 'the body is not valid JSON'],
  ['{"a":1} x', 'the body is not valid JSON, at position 8'],
  [Buffer.from([0x22, 0xff, 0x22]), 'the body is not valid UTF-8'],
  ['['.repeat(limits.jsonDepthMax + 1) + ']'.repeat(limits.jsonDepthMax + 1), `the body is nested more than ${limits.jsonDepthMax} levels deep`],
  ['{"a":'.repeat(100_000) + '1' + '}'.repeat(100_000), `the body is nested more than ${limits.jsonDepthMax} levels deep`],
  ['{"a":1,"b":{"a":1},"a":2}', 'the body has the key "a" twice in one object'],
  ['{"ab":1,"a\\u0062":2}', 'the body has the key "ab" twice in one object'],
  ['{"a":[{"__proto__":{"x":1}}]}', 'the body has a key "__proto__", which is not allowed'],
  ['{"\\u005f_proto__" :1}', 'the body has a key "__proto__", which is not allowed'],
];
for (const [body, message] of refused) {
  test(`refused: ${String(body).slice(0, 30)}`, () => {
    assert.throws(
      () => parseJson(Buffer.from(body)),
      (error: { code: string; message: string }) => {
        assert.equal(error.code, 'MALFORMED_BODY');
        assert.ok(error.message.startsWith(message), error.message);
        return true;
      },
    );
  });
}
