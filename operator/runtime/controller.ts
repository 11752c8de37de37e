/**
 * The loop that all controllers share. Level-triggered: a change anywhere only says which key to look at; each look reads
 * the state once, runs the task list, and states the outcome. One worker per key at a time; many changes at once are one
 * look; what fails comes back with growing pauses, what changes nothing is looked at now and then.
 */

import type { Clock } from '../../pods/kernel/clock.ts';
import { hasCode } from '../../pods/kernel/errors.ts';
import { limits } from '../../pods/kernel/limits.ts';
import type { Logger } from '../../pods/kernel/logger.ts';
import type { Random } from '../../pods/kernel/random.ts';
import { WorkQueue } from '../../pods/controller/work-queue.ts';
import type { Events, Regarding } from './events.ts';
import { pauseOfFailure, reasonOf, runTasks, type Task, type TaskRow } from './task.ts';

export interface Controller<State> {
  /** In kebab-case. */
  readonly name: string;
  /** Everything that the tasks decide from; undefined where there is no such object (any more). */
  read(key: string): Promise<State | undefined>;
  readonly tasks: readonly Task<State>[];
  /** Whose Events are written. */
  regarding(state: State): Regarding;
  /** Writes what the table says into the object's status, unless it says so already. */
  report(state: State, rows: readonly TaskRow[]): Promise<void>;
  /** The object has gone. */
  forget?(key: string): void;
  /** Least time between the beginnings of two looks at one object; none unless given. */
  readonly spacingMs?: number;
}

export interface ControllerLoopOptions<State> {
  readonly controller: Controller<State>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly events: Events;
  /** After each look: how long it took, and whether it ended well. */
  readonly onReconciled?: (seconds: number, outcome: 'ok' | 'failed') => void;
}

export class ControllerLoop<State> {
  readonly #options: ControllerLoopOptions<State>;
  readonly #queue: WorkQueue;
  readonly #failures = new Map<string, number>();
  /** By key, when its last look began. */
  readonly #lookedMs = new Map<string, number>();
  /** By key, the table that was last logged. */
  readonly #tables = new Map<string, string>();
  /** By key and task, what went wrong when it was last told. */
  readonly #warnings = new Map<string, string>();

  constructor(options: ControllerLoopOptions<State>) {
    this.#options = options;
    this.#queue = new WorkQueue({ clock: options.clock, inFlightMax: limits.reconcilesInFlightMax, run: (key) => this.#look(key) });
  }

  /** Looks at the object soon: what comes in the next moment is seen by the same look. */
  add(key: string): void {
    const { controller, clock } = this.#options;
    const lookedMs = this.#lookedMs.get(key) ?? -Infinity;
    this.#queue.addAfter(key, Math.max(limits.reconcileGatherMs, lookedMs + (controller.spacingMs ?? 0) - clock.monotonicMs()));
  }

  /** Resolves when what runs has ended. */
  async close(): Promise<void> {
    await this.#queue.close();
  }

  async #look(key: string): Promise<void> {
    const { controller, clock, logger, onReconciled } = this.#options;
    const startedMs = clock.monotonicMs();
    this.#lookedMs.set(key, startedMs);
    let isWell = true;
    try {
      const state = await controller.read(key);
      if (state === undefined) return this.#forget(key);
      const rows = await runTasks(controller.tasks, state);
      this.#log(key, rows);
      this.#tell(key, controller.regarding(state), rows);
      await controller.report(state, rows);
      isWell = this.#schedule(key, rows);
    } catch (error) {
      isWell = false;
      if (!hasCode(error, 'CONFLICT')) logger.warn({ error, controller: controller.name, key }, 'the look failed; looking again');
      this.#fail(key, hasCode(error, 'CONFLICT'));
    } finally {
      onReconciled?.((clock.monotonicMs() - startedMs) / 1_000, isWell ? 'ok' : 'failed');
    }
  }

  /** Whether nothing failed. */
  #schedule(key: string, rows: readonly TaskRow[]): boolean {
    const retries = rows.flatMap(({ result }) => (result.outcome === 'retry' ? [result.afterMs] : []));
    if (retries.includes(pauseOfFailure)) {
      this.#fail(key, false);
      return false;
    }
    this.#failures.delete(key);
    const { random } = this.#options;
    const restMs = limits.reconcileRestMs * (0.75 + random.fraction() / 2);
    this.#queue.addAfter(key, Math.min(restMs, ...retries));
    return true;
  }

  #fail(key: string, isConflict: boolean): void {
    const count = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, count);
    const ceilingMs = Math.min(limits.reconcileBackoffMsMax, limits.reconcileFirstBackoffMs * 2 ** Math.min(count - 1, 20));
    const pauseMs = ceilingMs * (0.5 + this.#options.random.fraction() / 2);
    // Another writer was faster: what it wrote is to be seen soon, unless that goes on and on.
    this.#queue.hold(key, isConflict && count < 4 ? limits.reconcileGatherMs : pauseMs);
  }

  #forget(key: string): void {
    this.#failures.delete(key);
    this.#lookedMs.delete(key);
    this.#tables.delete(key);
    for (const id of [...this.#warnings.keys()]) if (id.startsWith(`${key}/`)) this.#warnings.delete(id);
    this.#options.controller.forget?.(key);
  }

  /** The reconcile log: the whole table, whenever it has changed. */
  #log(key: string, rows: readonly TaskRow[]): void {
    const { controller, logger } = this.#options;
    for (const { task, error } of rows) if (error !== undefined) logger.warn({ error, controller: controller.name, key, task }, 'the task failed; it is tried again');
    const table = rows.map(({ task, result, acted }) => ({ task, outcome: result.outcome, because: result.because, ...(acted === undefined ? {} : { did: acted.because }) }));
    const text = JSON.stringify(table);
    if (this.#tables.get(key) === text) return;
    this.#tables.set(key, text);
    logger.info({ controller: controller.name, key, table }, 'reconciled');
  }

  /** What was done, each time; what cannot be done, once until it changes. */
  #tell(key: string, regarding: Regarding, rows: readonly TaskRow[]): void {
    const { events } = this.#options;
    for (const row of rows) {
      const { task, result, acted, error } = row;
      const id = `${key}/${task}`;
      if (acted !== undefined && error === undefined && result.outcome !== 'fail') events.tell(regarding, 'Normal', acted.reason, acted.because);
      if (result.outcome !== 'fail') this.#warnings.delete(id);
      else if (this.#warnings.get(id) !== result.because) {
        this.#warnings.set(id, result.because);
        events.tell(regarding, 'Warning', reasonOf(row), result.because);
      }
    }
  }
}
