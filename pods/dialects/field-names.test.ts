import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShoalError } from '../kernel/errors.ts';
import { renamed, withFieldNames } from './field-names.ts';

const names = { items: 'feedbackItems', 'ids[0]': 'id' };
const table: readonly [field: string, message: string, expectedField: string, expectedMessage: string][] = [
  ['items', 'items must not be empty', 'feedbackItems', 'feedbackItems must not be empty'],
  ['items[3].position', 'items[3].position must be an integer from 0', 'feedbackItems[3].position', 'feedbackItems[3].position must be an integer from 0'],
  ['ids[0]', 'ids[0] has 600 bytes', 'id', 'id has 600 bytes'],
  ['itemsOther', 'itemsOther is wrong', 'itemsOther', 'itemsOther is wrong'],
  ['vector', 'vector is empty', 'vector', 'vector is empty'],
];
for (const [field, message, expectedField, expectedMessage] of table) {
  test(`${field} is told as ${expectedField}`, async () => {
    const error = new ShoalError('INVALID_ARGUMENT', message, { details: { field, limit: 5 } });
    await assert.rejects(withFieldNames(names, Promise.reject(error)), { code: 'INVALID_ARGUMENT', message: expectedMessage, details: { field: expectedField, limit: 5 } });
  });
}

test('errors without a field, and those that are none of ours, stay as they are', () => {
  for (const error of [new ShoalError('OVERLOADED', 'items wait'), new Error('items'), undefined]) assert.equal(renamed(error, names), error);
});
