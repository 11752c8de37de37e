import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCore, step, type CoreInput, type CoreState } from './core.ts';

const a = { pod: 'a', incarnation: 'a1' };
const b = { pod: 'b', incarnation: 'b1' };
const start = startCore({ self: a, session: 's1', lastSeq: 7, lastTerm: 2, commitSeq: 5 });
const grant = (overrides: object = {}): CoreInput => ({
  kind: 'authority',
  authority: { term: 3, session: 's1', inSync: [a, b], minInSync: 2, ...overrides },
});

/** Feeds the inputs and writes down what came out: a transcript to compare whole. */
function transcript(state: CoreState, inputs: readonly CoreInput[]): string[] {
  return inputs.map((input) => {
    const output = step(state, input);
    state = output.state;
    const append = output.append === undefined ? '' : ` append ${output.append.term}/${output.append.firstSeq}+${output.append.entryCount}`;
    const commit = output.commitThroughSeq === undefined ? '' : ` commit ${output.commitThroughSeq}`;
    return `${input.kind}:${append}${commit} (${output.because})`;
  });
}

test('W0: a term granted to another session, or an old one, changes nothing', () => {
  assert.deepEqual(transcript(start, [grant({ session: 's0' }), grant({ term: 2 }), { kind: 'propose', entryCount: 1 }]), [
    'authority: (W0: the term was granted to another session)',
    'authority: (W0: term 2 is not newer than 2)',
    'propose: (W0: not the primary)',
  ]);
});

test('P2, W1, W3: a term begins with its no-op; entries commit when every member has them', () => {
  assert.deepEqual(
    transcript(start, [
      grant(),
      { kind: 'propose', entryCount: 2 },
      { kind: 'durable', member: a, term: 3, throughSeq: 10 },
      { kind: 'durable', member: b, term: 3, throughSeq: 7 },
      { kind: 'durable', member: b, term: 2, throughSeq: 10 },
      { kind: 'durable', member: b, term: 3, throughSeq: 9 },
      { kind: 'durable', member: b, term: 3, throughSeq: 8 },
      { kind: 'durable', member: b, term: 3, throughSeq: 10 },
    ]),
    [
      'authority: append 3/8+1 (P2: term 3 begins with a no-op at 8)',
      'propose: append 3/9+2 (W1: assigned)',
      'durable: (W3: not yet durable on every member)',
      'durable: (W3: not yet durable on every member)',
      'durable: (W2: an answer of another term counts for nothing)',
      'durable: commit 9 (W3: durable on every member)',
      'durable: (W3: not yet durable on every member)',
      'durable: commit 10 (W3: durable on every member)',
    ],
  );
});

test('W5: nothing is proposed below minInSync', () => {
  assert.deepEqual(transcript(start, [grant({ inSync: [a] }), { kind: 'propose', entryCount: 1 }]), [
    'authority: append 3/8+1 (P2: term 3 begins with a no-op at 8)',
    'propose: (W5: 1 in sync, 2 needed)',
  ]);
});

test('W0: after stepping down it proposes nothing until it is granted a newer term, and numbers on from its log', () => {
  assert.deepEqual(
    transcript(start, [grant({ inSync: [a], minInSync: 1 }), { kind: 'propose', entryCount: 3 }, { kind: 'step-down', lastSeq: 9 }, { kind: 'propose', entryCount: 1 }, grant(), grant({ term: 4 })]),
    [
      'authority: append 3/8+1 (P2: term 3 begins with a no-op at 8)',
      'propose: append 3/9+3 (W1: assigned)',
      'step-down: (W0: gives up its term and waits for the next)',
      'propose: (W0: not the primary)',
      'authority: (W0: term 3 is not newer than 3)',
      'authority: append 4/10+1 (P2: term 4 begins with a no-op at 10)',
    ],
  );
});
