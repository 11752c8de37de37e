// What the compiler does not see: promises nobody waits for, branches nobody wrote, and time, chance and surroundings
// reached around the seams that make runs repeatable (Clock, Random, config).

import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

const behindSeams = 'take the Clock, Random, Logger or config that you are given; only kernel, config and mains reach for it';

const seamRules = {
  'no-console': 'error',
  'no-restricted-globals': ['error', ...['setTimeout', 'setInterval'].map((name) => ({ name, message: behindSeams }))],
  'no-restricted-properties': [
    'error',
    { object: 'Date', property: 'now', message: behindSeams },
    { object: 'Math', property: 'random', message: behindSeams },
    { object: 'performance', property: 'now', message: behindSeams },
    { object: 'process', property: 'env', message: behindSeams },
    { object: 'process', property: 'hrtime', message: behindSeams },
  ],
  'no-restricted-imports': [
    'error',
    {
      paths: [
        { name: 'node:timers/promises', importNames: ['setTimeout', 'setInterval', 'scheduler'], message: behindSeams },
        { name: 'node:timers', importNames: ['setTimeout', 'setInterval'], message: behindSeams },
        { name: 'node:process', importNames: ['env', 'hrtime'], message: behindSeams },
      ],
    },
  ],
  'no-restricted-syntax': ['error', { selector: 'NewExpression[callee.name="Date"][arguments.length=0]', message: behindSeams }],
};

const noSeamRules = Object.fromEntries(Object.keys(seamRules).map((rule) => [rule, 'off']));

export default defineConfig(
  globalIgnores(['node_modules/', 'dist/', 'data/', 'bench-results/', 'proto/gen/', 'crds/gen/']),
  {
    files: ['**/*.ts'],
    plugins: { '@typescript-eslint': tseslint.plugin },
    languageOptions: { parser: tseslint.parser, parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-explicit-any': 'error',
      // node:test registers `test()` and `describe()` calls itself; their promises are its own.
      '@typescript-eslint/no-floating-promises': [
        'error',
        { allowForKnownSafeCalls: [{ from: 'package', package: 'node:test', name: ['test', 'it', 'describe', 'suite'] }] },
      ],
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrors: 'all' }],
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/prefer-promise-reject-errors': 'error',
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      eqeqeq: 'error',
      'no-control-regex': 'error',
      'no-constant-condition': ['error', { checkLoops: false }],
      'no-eval': 'error',
      'no-unsafe-finally': 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      ...seamRules,
    },
  },
  {
    files: ['shoal.ts', 'pods/kernel/**', 'pods/*/main.ts', 'pods/standalone/**', 'pods/cli/**', 'operator/main.ts', 'operator/jobs/main.ts', 'e2e/**', '**/*.test.ts', '**/*.conformance.ts', '**/*.fixture.ts'],
    rules: noSeamRules,
  },
  {
    files: ['**/*.{js,mjs,cjs}'],
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: { eqeqeq: 'error', 'no-unused-vars': 'error', 'no-var': 'error', 'prefer-const': 'error', 'no-unsafe-finally': 'error' },
  },
);
