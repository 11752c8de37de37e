/** Watches how full the disk is: writes that add data are refused above one mark and taken again below another. */

import type { Clock, Timer } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import type { FileSystem } from '../kernel/file-system.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';

export interface DiskWatermarkOptions {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly readOnlyAtFraction: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class DiskWatermarks {
  readonly #options: DiskWatermarkOptions;
  readonly #writableAtFraction: number;
  #usedFraction = 0;
  #writable = true;
  #timer: Timer | undefined;
  #closed = false;

  static async start(options: DiskWatermarkOptions): Promise<DiskWatermarks> {
    const watermarks = new DiskWatermarks(options);
    await watermarks.#check();
    watermarks.#schedule();
    return watermarks;
  }

  private constructor(options: DiskWatermarkOptions) {
    this.#options = options;
    this.#writableAtFraction = Math.min(limits.diskWritableAtFraction, options.readOnlyAtFraction - 0.05);
  }

  get usedFraction(): number {
    return this.#usedFraction;
  }

  get writable(): boolean {
    return this.#writable;
  }

  /** STORAGE_READ_ONLY while the disk is too full for new data. */
  checkWritable(): void {
    if (this.#writable) return;
    const percent = (fraction: number): string => `${(fraction * 100).toFixed(1)} %`;
    throw new ShoalError(
      'STORAGE_READ_ONLY',
      `the disk is ${percent(this.#usedFraction)} full; writes that add data are refused from ${percent(this.#options.readOnlyAtFraction)} until it is below ${percent(this.#writableAtFraction)}`,
      { details: { limit: this.#options.readOnlyAtFraction, found: this.#usedFraction } },
    );
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    this.#timer = this.#options.clock.after(limits.diskCheckIntervalMs, () => {
      void this.#check().finally(() => {
        if (!this.#closed) this.#schedule();
      });
    });
  }

  async #check(): Promise<void> {
    const { fileSystem, directory, readOnlyAtFraction, logger } = this.#options;
    try {
      this.#usedFraction = (await fileSystem.usage(directory)).usedFraction;
    } catch (error) {
      logger.warn({ error }, 'cannot tell how full the disk is');
      return;
    }
    const writable = this.#writable ? this.#usedFraction < readOnlyAtFraction : this.#usedFraction < this.#writableAtFraction;
    if (writable !== this.#writable) logger.warn({ usedFraction: this.#usedFraction, writable }, writable ? 'the disk has room again' : 'the disk is nearly full: read-only');
    this.#writable = writable;
  }
}
