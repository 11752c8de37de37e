/** Carries out a plan of faults. Everything ends when the world is to heal. */

import { seededRandom } from '../../../../pods/kernel/random.ts';
import { goodQuality } from '../network.ts';
import type { World } from '../world.ts';
import { mayLose, survivorCountMin, type Fault, type UserActions } from './fault.ts';
import type { PlannedFault } from './fault-plan.ts';
import { faultTable, type FaultKind } from './fault-table.ts';

/** How often somebody looks whether a damaged disk can be replaced. */
const repairIntervalMs = 1_000;

export class FaultInjector {
  /** How often each kind was injected. */
  readonly counts: Partial<Record<FaultKind, number>> = {};
  readonly #world: World;
  readonly #users: UserActions;
  readonly #ends = new Map<PlannedFault, () => void>();
  readonly #damaged = new Set<string>();
  #isOver = false;

  constructor(world: World, users: UserActions) {
    this.#world = world;
    this.#users = users;
  }

  schedule(faults: readonly PlannedFault[]): void {
    for (const fault of faults) this.#world.scheduler.after(fault.atMs, () => this.#begin(fault));
    this.#repairDamaged();
  }

  /** Pods that wait for another disk. */
  get damaged(): ReadonlySet<string> {
    return this.#damaged;
  }

  /** The world heals: everything that lasts ends, everything that is down comes up. */
  healAll(): void {
    this.#isOver = true;
    const world = this.#world;
    world.tell('everything', 'heals');
    for (const fault of [...this.#ends.keys()]) this.#end(fault);
    world.network.healAll();
    world.network.quality = goodQuality;
    for (const name of world.allNames) {
      world.resume(name);
      if (world.stateOf(name) === 'down') world.start(name);
    }
  }

  /** A disk is replaced when the others can fill it again. */
  #repairDamaged(): void {
    const world = this.#world;
    for (const pod of this.#damaged) {
      if (!mayLose(world, pod, this.#isOver ? 1 : survivorCountMin)) continue;
      this.#damaged.delete(pod);
      world.replace(pod);
      break;
    }
    world.scheduler.after(repairIntervalMs, () => this.#repairDamaged());
  }

  #begin(fault: PlannedFault): void {
    if (this.#isOver) return;
    const table: Record<FaultKind, Fault> = faultTable;
    const begun = table[fault.kind].begin({ world: this.#world, random: seededRandom(fault.seed), users: this.#users, damaged: (pod) => void this.#damaged.add(pod) });
    if (begun === undefined) return;
    this.counts[fault.kind] = (this.counts[fault.kind] ?? 0) + 1;
    this.#world.tell(`[${fault.number}]`, `${begun.what}${fault.durationMs > 0 ? `, for ${fault.durationMs} ms` : ''}`);
    if (begun.end === undefined) return;
    this.#ends.set(fault, begun.end);
    this.#world.scheduler.after(fault.durationMs, () => this.#end(fault));
  }

  #end(fault: PlannedFault): void {
    const end = this.#ends.get(fault);
    if (end === undefined) return;
    this.#ends.delete(fault);
    this.#world.tell(`[${fault.number}]`, `${fault.kind} ends`);
    end();
  }
}
