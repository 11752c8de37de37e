/** Aim: docs/errors.md lists every error code with exactly what the table says of it, and none that is gone. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { vectronDialect } from '../dialects/vectron/vectron-dialect.ts';
import { errorTable, ShoalError, type ErrorCode } from './errors.ts';

const text = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');

/** Cells of the table rows that begin with a code in backticks. */
const rows = text.split('\n').flatMap((line) => (/^\| `[A-Z_]+` \|/.test(line) ? [line.split('|').slice(1, -1).map((cell) => cell.trim())] : []));

test('docs/errors.md and the table of errors agree', () => {
  const documented = rows.map(([code, http, vectronHttp, grpc, retry, meaning]) => ({ code, http, vectronHttp, grpc, retry, meaning }));
  const expected = Object.entries(errorTable).map(([code, { http, grpc, retry, meaning }]) => ({
    code: `\`${code}\``,
    http: String(http),
    vectronHttp: String(vectronDialect.encodeError(new ShoalError(code as ErrorCode, ''), '').status),
    grpc,
    retry,
    meaning,
  }));
  assert.deepEqual(documented, expected);
});

test('docs/errors.md says for every code what a client does', () => {
  assert.deepEqual(
    rows.filter((cells) => cells.length !== 7 || cells[6] === '').map(([code]) => code),
    [],
  );
});
