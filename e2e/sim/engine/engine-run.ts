/**
 * One life of an engine by seed: a few processes one after another on one machine, each ended in some way, with requests
 * of several clients at once and whatever goes wrong meanwhile. The model says what every point may be; `verify` reads
 * everything in several ways and compares.
 */

import { EngineCollections } from './engine-collections.ts';
import { breakSomething, maintain, passTime, quiesce, repair } from './engine-faults.ts';
import { EngineReads } from './engine-reads.ts';
import { rot } from './engine-rot.ts';
import { EngineVerification } from './engine-verification.ts';
import { EngineWorld } from './engine-world.ts';
import { EngineWrites } from './engine-writes.ts';

const inFlightMax = 6;

export class EngineRun {
  readonly #world: EngineWorld;
  readonly #verification: EngineVerification;
  readonly #collections: EngineCollections;
  readonly #writes: EngineWrites;
  readonly #reads: EngineReads;

  constructor(seed: number) {
    this.#world = new EngineWorld(seed);
    this.#verification = new EngineVerification(this.#world);
    this.#collections = new EngineCollections(this.#world, this.#verification);
    this.#writes = new EngineWrites(this.#world, this.#verification);
    this.#reads = new EngineReads(this.#world);
  }

  get story(): readonly string[] {
    return this.#world.story;
  }

  get counts(): ReadonlyMap<string, number> {
    return this.#world.counts;
  }

  async run(): Promise<void> {
    const processCount = 2 + this.#world.below(3);
    for (let life = 0; life < processCount; life++) {
      await this.#start();
      await this.#verification.verify();
      await this.#writes.retryUnknown();
      await this.#live();
      await this.#end();
    }
    await this.#start();
    await this.#verification.verify();
    if (this.#world.chance(0.5)) await rot(this.#world, this.#verification);
  }

  async #start(): Promise<void> {
    while (this.#world.chance(0.15)) {
      const starting = this.#world.machine.start();
      starting.catch(() => undefined);
      await this.#world.turns(this.#world.below(60));
      this.#world.machine.end(this.#crashKind('while starting'));
    }
    this.#world.process = await this.#world.drive(this.#world.machine.start());
    this.#world.tell('started');
  }

  async #live(): Promise<void> {
    const stepCount = 10 + this.#world.below(30);
    for (let step = 0; step < stepCount && this.#world.process.failure() === undefined && !this.#world.mustCrash; step++) {
      await this.#step();
      await this.#world.turns(this.#world.below(6));
      if (this.#world.failure !== undefined) throw this.#world.failure;
    }
  }

  async #step(): Promise<void> {
    const dice = this.#world.random.fraction();
    if (dice < 0.04) return this.#collections.createCollection();
    if (dice < 0.055) return this.#collections.deleteCollection();
    if (dice < 0.08) return this.#writes.deleteByFilter();
    if (dice < 0.11) return this.#collections.changeIndexes();
    if (dice < 0.17) return passTime(this.#world);
    if (dice < 0.2) return maintain(this.#world);
    if (dice < 0.24) return breakSomething(this.#world);
    if (dice < 0.27) return repair(this.#world);
    if (dice < 0.3) return this.#pauseAndVerify();
    if (this.#world.inFlight.size >= inFlightMax || this.#world.collections.size === 0) return;
    if (dice < 0.4) return this.#reads.read();
    if (dice < 0.45) return this.#writes.repeatAnswered();
    this.#writes.write();
  }

  async #end(): Promise<void> {
    const process = this.#world.process;
    if (process.failure() === undefined && !this.#world.mustCrash && this.#world.chance(0.2)) {
      await quiesce(this.#world);
      if (process.failure() === undefined) {
        this.#world.count('orderly end');
        this.#world.tell('closes');
        await this.#world.drive(this.#world.machine.close(process));
        return;
      }
    }
    if (process.failure() !== undefined) {
      this.#world.count('fatal error');
      this.#world.tell(`failed: ${process.failure()!.message}`);
    }
    this.#world.machine.end(this.#crashKind('at work'));
    this.#world.mustCrash = false;
    this.#world.inFlight.clear();
    this.#writes.lost();
  }

  #crashKind(when: string): 'power loss' | 'kill' {
    const how = this.#world.chance(0.5) ? 'power loss' : 'kill';
    this.#world.count(`${how} ${when}`);
    this.#world.tell(`${how} ${when}`);
    return how;
  }

  async #pauseAndVerify(): Promise<void> {
    if (await quiesce(this.#world)) await this.#verification.verify();
  }
}
