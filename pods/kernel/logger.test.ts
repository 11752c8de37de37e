import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShoalError } from './errors.ts';
import { describeError } from './logger.ts';

test('an error is logged with its message, code, details, stack and causes', () => {
  const cause = new Error('the disk said no');
  const error = new ShoalError('UNAVAILABLE', 'the store cannot be opened', { details: { path: 'x' }, cause });
  assert.deepEqual(describeError(error), {
    name: 'ShoalError',
    message: 'the store cannot be opened',
    code: 'UNAVAILABLE',
    details: { path: 'x' },
    stack: error.stack,
    cause: { name: 'Error', message: 'the disk said no', stack: cause.stack },
  });
  assert.equal(describeError('a string'), 'a string');
});
