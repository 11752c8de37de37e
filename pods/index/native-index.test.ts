import assert from 'node:assert/strict';
import { nativeIndexFactory } from './native-index.ts';
import { vectorIndexConformance } from './vector-index.conformance.ts';

const factory = nativeIndexFactory();
assert.ok(!(factory instanceof Error), `the native core is not built: ${String(factory)}`);

vectorIndexConformance('native', factory);
