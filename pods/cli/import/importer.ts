/**
 * Sends the batches of an import. Before: the journal says from where. In order: a batch is cut while others are under
 * way; it is sent under its number, again and again while that can help; its acknowledgement is written to the journal;
 * only then does its slot take the next one. A crash leaves at most one batch a slot that was sent and not written down;
 * it goes out again under the same number, which the server recognises (rule D1).
 *
 * One slot is the default, and enough: while the server makes a batch durable the next one is cut here, and its index
 * works through the batches before in the background. More slots help over slow networks, and repeat more after a crash.
 */

import { hasCode, type ShoalError } from '../../kernel/errors.ts';
import { limits } from '../../kernel/limits.ts';
import type { InterruptedError } from '../exit-codes.ts';
import type { PointReader } from '../formats/point-file.ts';
import { withRetries } from '../retry.ts';
import type { Terminal } from '../terminal.ts';
import { badRowError, batchesOf, type BadRow, type Batch, type BatchLimits, type BatchTarget } from './batches.ts';
import type { Journal, JournalState } from './journal.ts';

/** The server remembers so many requests of a client; the oldest under way must stay well inside. */
const batchesAheadMax = limits.rememberedRequestsPerClientMax / 2;

export interface ImportPlan {
  readonly file: string;
  readonly reader: PointReader;
  readonly journal: Pick<Journal, 'state' | 'acknowledge' | 'renewClient'>;
  readonly target: BatchTarget;
  readonly bounds: BatchLimits;
  readonly slots: number;
  readonly retryForMs: number;
  /** Resolves when the server has acknowledged the batch. */
  send(batch: Batch, clientId: string): Promise<void>;
  onAcknowledged(state: JournalState): void;
  onBadRow(row: BadRow): void;
  onRetry(error: ShoalError): void;
}

export interface ImportOutcome {
  /** Sent by this run. */
  readonly points: number;
  readonly batches: number;
  readonly retries: number;
}

/** InterruptedError when the terminal's signal aborted: what was under way is finished and written down first. */
export async function runImport(terminal: Terminal, plan: ImportPlan): Promise<ImportOutcome> {
  const { journal, reader, bounds } = plan;
  const begin = journal.state;
  const outcome = { points: 0, batches: 0, retries: 0 };
  const stop = new AbortController();
  const onInterrupt = (): void => stop.abort(terminal.signal.reason);
  terminal.signal.addEventListener('abort', onInterrupt, { once: true });
  if (terminal.signal.aborted) onInterrupt();

  let failure: { readonly error: unknown } | undefined;
  const fail = (error: unknown): void => {
    failure ??= { error };
    stop.abort(error);
  };
  const wakers = new Set<() => void>();
  const wake = (): void => {
    for (const waker of wakers) waker();
    wakers.clear();
  };
  const change = (): Promise<void> => new Promise((resolve) => wakers.add(resolve));
  stop.signal.addEventListener('abort', wake);

  const sendBatch = async (batch: Batch): Promise<void> => {
    const attempt = (): Promise<void> => plan.send(batch, journal.state.clientId);
    const onRetry = (error: ShoalError): void => {
      outcome.retries++;
      plan.onRetry(error);
    };
    if (batch.points.length > 0) {
      // Once sent, a batch is seen through even when the user stops the import, unless the server is gone.
      await withRetries({ ...terminal, signal: stop.signal }, plan.retryForMs, attempt, onRetry).catch((error: unknown) => {
        if (!hasCode(error, 'REQUEST_TOO_OLD')) throw error;
        // The server has forgotten this client's past: the batch goes out as a request of a new one.
        journal.renewClient(terminal.random.uuid());
        return attempt();
      });
      outcome.batches++;
      outcome.points += batch.points.length;
    }
    journal.acknowledge({ batch: batch.number, after: batch.after, points: batch.points.length, badRows: batch.badRows.length });
    plan.onAcknowledged(journal.state);
  };

  let badRowCount = begin.floor.badRows + [...begin.above.values()].reduce((sum, entry) => sum + entry.badRows, 0);
  const admit = (batch: Batch): boolean => {
    if (begin.above.has(batch.number)) return false;
    for (const row of batch.badRows) {
      if (badRowCount === bounds.badRowCountMax) throw badRowError(plan.file, reader.unit, row);
      badRowCount++;
      plan.onBadRow(row);
    }
    return true;
  };

  const ready: Batch[] = [];
  let exhausted = false;
  const produce = async (): Promise<void> => {
    const from = { position: begin.floor.batch === 0 ? reader.begin : begin.floor.after, batch: begin.floor.batch };
    for await (const batch of batchesOf(reader, from, plan.target, bounds, stop.signal)) {
      if (!admit(batch)) continue;
      while ((ready.length >= plan.slots || batch.number - journal.state.floor.batch > batchesAheadMax) && !stop.signal.aborted) await change();
      if (stop.signal.aborted) return;
      ready.push(batch);
      wake();
    }
  };
  const consume = async (): Promise<void> => {
    for (;;) {
      if (stop.signal.aborted) return;
      const batch = ready.shift();
      if (batch !== undefined) {
        wake();
        await sendBatch(batch);
        wake();
      } else if (exhausted) return;
      else await change();
    }
  };

  const producer = produce().catch(fail).finally(() => {
    exhausted = true;
    wake();
  });
  try {
    await Promise.all([producer, ...Array.from({ length: plan.slots }, () => consume().catch(fail))]);
  } finally {
    terminal.signal.removeEventListener('abort', onInterrupt);
  }
  if (terminal.signal.aborted) throw terminal.signal.reason as InterruptedError;
  if (failure !== undefined) throw failure.error;
  return outcome;
}
