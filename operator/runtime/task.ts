/**
 * A task is one step of an object's lifecycle: it decides, purely, from a state that was read once for the whole list, and
 * carries out what it decided. A controller is a flat list of tasks; the list reads like the life of the object:
 *
 *     read state ─▶ task 1: decide ─▶ apply ─▶ task 2: decide ─▶ apply ─▶ … ─▶ table of results ─▶ conditions, Events, log
 *
 * Each result is one of
 *
 *     complete   as it shall be; go on with the next task
 *     wait       something else has to happen, and will announce itself; go on
 *     retry      come back after a while by itself; later tasks wait for that
 *     fail       it cannot be done as it stands: a human or another spec is needed; later tasks wait for that
 *
 * with a sentence that says why, for status, Event and log alike. A task that `runs: 'always'` runs whatever came before, and
 * holds nothing back.
 *
 * To add a task list: write a file of tasks over a state (`task({ name, decide, apply })`, each `decide` exported and tested
 * alone), a `read` of that state, and a `report` (operator/runtime/controller.ts); add the controller in operator/main.ts,
 * with the informers whose changes concern it. To add tasks to an existing object, put them into its list
 * (operator/controllers/pool/tasks.ts, operator/controllers/collection/tasks.ts): one worker has the key at a time.
 */

import { hasCode } from '../../pods/kernel/errors.ts';

export type TaskResult = {
  /** A sentence. */
  readonly because: string;
  /** One word in CamelCase, for conditions and Events; without it, the task's name in that form. */
  readonly reason?: string;
} & (
  | { readonly outcome: 'complete' }
  /** `holdsBack`: later tasks wait too. */
  | { readonly outcome: 'wait'; readonly holdsBack?: boolean }
  | { readonly outcome: 'retry'; readonly afterMs: number }
  | { readonly outcome: 'fail' }
);

/** What there is to do, or the result where there is nothing to do. */
export type Decision<Action> = TaskResult | { readonly outcome: 'act'; readonly action: Action; readonly because: string; readonly reason?: string };

export interface TaskDefinition<State, Action> {
  /** In kebab-case, unique in its list. */
  readonly name: string;
  readonly runs?: 'in-order' | 'always';
  /** Pure. */
  decide(state: State): Decision<Action>;
  /** Whatever it throws becomes a retry, with growing pauses. */
  apply(action: Action, state: State): Promise<TaskResult>;
}

export interface Task<State> {
  readonly name: string;
  readonly runs: 'in-order' | 'always';
  run(state: State): Promise<TaskRow>;
}

/** One line of a reconcile's table. */
export interface TaskRow {
  readonly task: string;
  readonly result: TaskResult;
  /** Whether something was written, and why. */
  readonly acted?: { readonly because: string; readonly reason: string };
  /** What `apply` threw. */
  readonly error?: unknown;
}

export const complete = (because: string): TaskResult => ({ outcome: 'complete', because });
export const wait = (because: string, options: { readonly reason?: string; readonly holdsBack?: boolean } = {}): TaskResult => ({ outcome: 'wait', because, ...options });
export const retry = (afterMs: number, because: string): TaskResult => ({ outcome: 'retry', afterMs, because });
export const fail = (because: string, reason?: string): TaskResult => ({ outcome: 'fail', because, ...(reason === undefined ? {} : { reason }) });
export const act = <Action>(action: Action, because: string, reason?: string): Decision<Action> => ({ outcome: 'act', action, because, ...(reason === undefined ? {} : { reason }) });

/** Another writer was faster: read anew at once. */
const conflictDelayMs = 20;
/** Of a failure whose pause the controller chooses by how often it has failed. */
export const pauseOfFailure = -1;

export function task<State, Action>(definition: TaskDefinition<State, Action>): Task<State> {
  const { name, runs = 'in-order' } = definition;
  return {
    name,
    runs,
    async run(state) {
      const decision = definition.decide(state);
      if (decision.outcome !== 'act') return { task: name, result: decision };
      const { action, because, reason = camelCase(name) } = decision;
      try {
        return { task: name, result: await definition.apply(action, state), acted: { because, reason } };
      } catch (error) {
        if (hasCode(error, 'CONFLICT')) return { task: name, result: retry(conflictDelayMs, `${because}; the object has changed meanwhile`) };
        const message = error instanceof Error ? error.message : String(error);
        return { task: name, result: retry(pauseOfFailure, `${because}; that failed: ${message}`), error };
      }
    },
  };
}

/** Runs the list over one state; the table has a row for each task that ran. */
export async function runTasks<State>(tasks: readonly Task<State>[], state: State): Promise<TaskRow[]> {
  const rows: TaskRow[] = [];
  let isHeldBack = false;
  for (const each of tasks) {
    if (isHeldBack && each.runs === 'in-order') continue;
    const row = await each.run(state);
    rows.push(row);
    if (each.runs === 'in-order' && holdsBack(row.result)) isHeldBack = true;
  }
  return rows;
}

function holdsBack(result: TaskResult): boolean {
  return result.outcome === 'retry' || result.outcome === 'fail' || (result.outcome === 'wait' && result.holdsBack === true);
}

/** `apply-objects` → `ApplyObjects`. */
export function camelCase(name: string): string {
  return name.replaceAll(/(?:^|-)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

export function reasonOf({ task: name, result }: TaskRow): string {
  return result.reason ?? camelCase(name);
}
