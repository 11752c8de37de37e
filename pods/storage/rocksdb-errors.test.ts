import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ShoalError } from '../kernel/errors.ts';
import { rocksdbError } from './rocksdb-errors.ts';

test('texts and codes of RocksDB, in our terms', () => {
  const table: [code: string | undefined, text: string, expected: string][] = [
    ['EIO', 'block checksum mismatch: stored = 1, computed = 2, type = 4 in 000009.sst offset 0 size 1466', 'CORRUPTION'],
    ['EIO', 'Bad table magic number: expected 1, found 2 in 000009.sst', 'CORRUPTION'],
    ['EIO', 'CURRENT file does not end with newline', 'CORRUPTION'],
    ['ENOENT', 'While opening a file for sequentially reading: MANIFEST-000007: No such file or directory', 'CORRUPTION'],
    ['EIO', 'While pread offset 0 len 10: 000009.sst: Input/output error', 'UNAVAILABLE'],
    ['EIO', 'No space left on device: While appending to file: 000012.log: No space left on device', 'STORAGE_READ_ONLY'],
    ['ENOSPC', 'While appending to file: 000012.log: No space left on device', 'STORAGE_READ_ONLY'],
    ['EIO', 'lock hold by current process, acquire time 1: LOCK: No locks available', 'UNAVAILABLE'],
    ['EIO', 'While lock file: LOCK: Resource temporarily unavailable', 'UNAVAILABLE'],
    [undefined, 'RocksDB session is closed', 'UNAVAILABLE'],
    ['EINVAL', 'end key comes before start key', 'INTERNAL'],
    [undefined, 'something else', 'INTERNAL'],
  ];
  for (const [code, text, expected] of table) {
    const cause = Object.assign(new Error(text), code === undefined ? {} : { code });
    assert.equal(rocksdbError(cause, 'testing').code, expected, text);
    assert.equal(rocksdbError(new Error('Batch was not applied', { cause }), 'testing').code, expected, `wrapped: ${text}`);
  }
  const ours = new ShoalError('CANCELLED', 'ours');
  assert.equal(rocksdbError(ours, 'testing'), ours);
});
