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
  #freeBytes = Infinity;
  /** Let in since the last look at the disk. */
  #acceptedBytes = 0;
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

  /** For new data. */
  get freeBytes(): number {
    return this.#writable ? this.#freeBytes : 0;
  }

  get writable(): boolean {
    return this.#writable;
  }

  /**
   * STORAGE_READ_ONLY while the disk is too full for new data. Lets in no more between two looks at the disk than fits:
   * a store that meets a full disk has to be opened again, so our own writes must never be what fills it.
   */
  checkWritable(sizeBytes: number): void {
    if (this.#writable) {
      const neededBytes = (this.#acceptedBytes + sizeBytes) * limits.diskWriteAmplification;
      if (neededBytes > this.#freeBytes) {
        throw new ShoalError('STORAGE_READ_ONLY', `the disk has ${this.#freeBytes} bytes left, too few for what is being written`, {
          details: { limit: this.#freeBytes, found: neededBytes },
        });
      }
      this.#acceptedBytes += sizeBytes;
      return;
    }
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
      const usage = await fileSystem.usage(directory);
      this.#usedFraction = usage.usedFraction;
      this.#freeBytes = usage.freeBytes;
      this.#acceptedBytes = 0;
    } catch (error) {
      logger.warn({ error }, 'cannot tell how full the disk is');
      return;
    }
    const writable = this.#writable ? this.#usedFraction < readOnlyAtFraction : this.#usedFraction < this.#writableAtFraction;
    if (writable !== this.#writable) logger.warn({ usedFraction: this.#usedFraction, writable }, writable ? 'the disk has room again' : 'the disk is nearly full: read-only');
    this.#writable = writable;
  }
}
