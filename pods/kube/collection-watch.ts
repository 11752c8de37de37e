/**
 * All objects of one kind in one namespace, kept up by a list and a watch (what Kubernetes calls a reflector).
 *
 *     list (in pages, one consistent version) → watch from there → ended in order: watch again from the last version seen
 *                                                              → 410 (the version is too old), or any failure: list again
 *
 * A watch that was cut could go on too, but for a store that was rolled back meanwhile (etcd restored from a backup): a
 * watch from a version that the store has not reached is silent, without an error.
 *
 * The API server may be away for long: attempts go on with growing pauses, and what is known stays.
 */

import type { IncomingMessage } from 'node:http';
import { sleep } from '../kernel/clock.ts';
import { hasCode, ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import { backoffMs, type KubeClient } from './client.ts';
import { send } from './request.ts';

export interface RawObject {
  readonly metadata: { readonly name: string; readonly resourceVersion: string };
}

interface List {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly RawObject[];
}

interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: RawObject & { readonly code?: number; readonly message?: string };
}

export interface CollectionWatchOptions {
  readonly client: KubeClient;
  readonly logger: Logger;
  /** Of the collection, such as `/apis/shoal.dev/v1alpha1/namespaces/default/vectorshards`. */
  readonly path: string;
  readonly labelSelector?: string;
  readonly onChange: (name: string) => void;
  /** After each list: what is not known then is not there. */
  readonly onListed?: () => void;
}

type WatchEnd = 'ended' | 'expired';

export class CollectionWatch {
  readonly #options: CollectionWatchOptions;
  readonly #objects = new Map<string, RawObject>();
  readonly #stop = new AbortController();
  #version: string | undefined;
  #heardMs: number | undefined;
  #isConnected = false;
  #failures = 0;

  constructor(options: CollectionWatchOptions) {
    this.#options = options;
    void this.#run();
  }

  get(name: string): RawObject | undefined {
    return this.#objects.get(name);
  }

  /** All that is known, in no order. */
  objects(): Iterable<RawObject> {
    return this.#objects.values();
  }

  /** Whether everything was listed once: before that, what is not known may be there. */
  get hasListed(): boolean {
    return this.#heardMs !== undefined;
  }

  /** Whether everything was listed, and the watch has been heard of lately. */
  get isFresh(): boolean {
    return this.#isConnected && this.#heardMs !== undefined && this.#nowMs() - this.#heardMs < limits.kubeWatchSilenceMsMax;
  }

  close(): void {
    this.#stop.abort(new Error('closed'));
  }

  async #run(): Promise<void> {
    const { client, logger, path } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        if (this.#version === undefined) await this.#list();
        if ((await this.#watch(this.#version!)) === 'expired') this.#version = undefined;
        // A server that ends each watch at once is not asked without a pause.
        await sleep(client.clock, backoffMs(client.random, 1), signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#isConnected = false;
        this.#version = undefined;
        if (this.#failures++ === 0) logger.warn({ error, path }, 'the watch of the API server failed; trying again');
        await sleep(client.clock, backoffMs(client.random, this.#failures), signal).catch(() => undefined);
      }
    }
  }

  async #list(): Promise<void> {
    const { client, path, labelSelector } = this.#options;
    const { items, version } = await listAll(client, path, labelSelector, this.#stop.signal);
    const absent = new Set(this.#objects.keys());
    for (const item of items) {
      absent.delete(item.metadata.name);
      this.#take(item);
    }
    for (const name of absent) this.#drop(name);
    this.#version = version;
    this.#heard();
    this.#options.onListed?.();
  }

  /** Resolves when the server ends the watch, as it does now and then, or when it no longer has the version. */
  async #watch(version: string): Promise<WatchEnd> {
    const { client, path, labelSelector } = this.#options;
    // Not all of those that began together shall return together.
    const seconds = Math.ceil((limits.kubeWatchMsMax / 1_000) * (0.75 + client.random.fraction() / 4));
    const query = { watch: 'true', allowWatchBookmarks: 'true', resourceVersion: version, timeoutSeconds: String(seconds), ...(labelSelector === undefined ? {} : { labelSelector }) };
    const answer = await send(client.endpoint, client.clock, limits.kubeRequestTimeoutMs, { method: 'GET', path, query, signal: this.#stop.signal });
    const onAbort = (): void => void answer.destroy();
    this.#stop.signal.addEventListener('abort', onAbort, { once: true });
    const late = client.clock.after(seconds * 1_000 + limits.kubeRequestTimeoutMs, () => answer.destroy(new Error('the watch did not end when it should')));
    try {
      if (answer.statusCode === 410) return 'expired';
      if (answer.statusCode !== 200) throw new Error(`the watch was answered ${answer.statusCode}`);
      this.#isConnected = true;
      this.#heard();
      for await (const line of linesOf(answer)) {
        const event = JSON.parse(line) as WatchEvent;
        this.#heard();
        if (event.type !== 'ERROR') this.#failures = 0;
        if (event.type === 'ERROR') {
          if (event.object.code === 410) return 'expired';
          throw new Error(`the watch failed: ${event.object.message ?? line}`);
        }
        this.#version = event.object.metadata.resourceVersion;
        if (event.type === 'DELETED') this.#drop(event.object.metadata.name);
        else if (event.type !== 'BOOKMARK') this.#take(event.object);
      }
      this.#failures = 0;
      return 'ended';
    } finally {
      late.cancel();
      this.#stop.signal.removeEventListener('abort', onAbort);
      answer.destroy();
    }
  }

  #take(object: RawObject): void {
    this.#objects.set(object.metadata.name, object);
    this.#options.onChange(object.metadata.name);
  }

  #drop(name: string): void {
    if (this.#objects.delete(name)) this.#options.onChange(name);
  }

  #heard(): void {
    this.#heardMs = this.#nowMs();
  }

  #nowMs(): number {
    return this.#options.client.clock.monotonicMs();
  }
}

/** All objects as of one version. Where a page comes so late that the version is gone, the whole begins anew. */
export async function listAll(client: KubeClient, path: string, labelSelector?: string, signal?: AbortSignal): Promise<{ items: RawObject[]; version: string }> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await listPages(client, path, labelSelector, signal);
    } catch (error) {
      if (!hasCode(error, 'CONFLICT')) throw error;
      if (attempt === limits.kubeReadTriesMax) throw new ShoalError('UNAVAILABLE', `the list of ${path} cannot be read to its end`, { cause: error });
    }
  }
}

async function listPages(client: KubeClient, path: string, labelSelector: string | undefined, signal: AbortSignal | undefined): Promise<{ items: RawObject[]; version: string }> {
  const items: RawObject[] = [];
  let position = '';
  for (;;) {
    const query = { limit: String(limits.kubeListPageCount), ...(labelSelector === undefined ? {} : { labelSelector }), ...(position === '' ? {} : { continue: position }) };
    const page = (await client.read(path, query, signal)) as List;
    items.push(...page.items);
    position = page.metadata.continue ?? '';
    if (position === '') return { items, version: page.metadata.resourceVersion };
  }
}

async function* linesOf(answer: IncomingMessage): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    if (rest.length > limits.kubeWatchLineLengthMax) throw new Error(`the watch sent a line longer than ${limits.kubeWatchLineLengthMax}`);
    yield* lines;
  }
}
