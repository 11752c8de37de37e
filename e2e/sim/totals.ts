/** What all runs of an invocation came to: what was injected, what was checked, how fast. */

import type { RunReport } from './cluster/cluster-run.ts';
import { faultKinds } from './cluster/faults/fault-table.ts';

export class Totals {
  readonly #startMs = performance.now();
  readonly #faults: Record<string, number> = {};
  readonly #counts: Record<string, number> = {};
  readonly #exercised: Record<string, number> = {};
  #simulatedMs = 0;
  #eventCount = 0;
  seedCount = 0;

  add({ faults, counts, exercised, simulatedMs, eventCount }: RunReport): void {
    this.seedCount++;
    this.#simulatedMs += simulatedMs;
    this.#eventCount += eventCount;
    addTo(this.#faults, faults);
    addTo(this.#counts, counts);
    addTo(this.#exercised, exercised);
  }

  describe(): string {
    const realSeconds = (performance.now() - this.#startMs) / 1_000;
    const missing = faultKinds.filter((kind) => this.#faults[kind] === undefined);
    return [
      '',
      `${this.seedCount} seeds, ${(this.#simulatedMs / 3_600_000).toFixed(2)} simulated hours in ${realSeconds.toFixed(0)} s (${(this.#simulatedMs / 1_000 / realSeconds).toFixed(0)} times real time), ${this.#eventCount} events`,
      `${this.#counts['acknowledgedWrites'] ?? 0} acknowledged writes checked, ${this.#counts['linearizableGets'] ?? 0} linearizable reads, ${this.#counts['searches'] ?? 0} searches`,
      ...table('faults injected', this.#faults),
      ...(missing.length === 0 ? [] : [`  never: ${missing.join(', ')}`]),
      ...table('rules and invariants exercised', this.#exercised),
      ...table('what else happened', this.#counts),
      '',
    ].join('\n');
  }
}

function addTo(sums: Record<string, number>, counts: Readonly<Partial<Record<string, number>>>): void {
  for (const [name, count] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + (count ?? 0);
}

function table(title: string, counts: Readonly<Record<string, number>>): string[] {
  const rows = Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1));
  return ['', title, ...rows.map(([name, count]) => `  ${String(count).padStart(9)}  ${name}`)];
}
