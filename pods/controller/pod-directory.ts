/** Which data pods there are, as a port: in a cluster from Kubernetes, in one process and in tests a list. */

export interface DirectoryPod {
  readonly name: string;
  /** Where it runs, as `PlaceablePod` has it: its zone, its node, … */
  readonly domains?: readonly string[];
  /** Its replicas shall move to other pods. */
  readonly isDraining: boolean;
  /** It takes no new replica; those it has stay. */
  readonly isClosed?: boolean;
  /** It will be away for a moment. */
  readonly isBeingReplaced?: boolean;
}

export interface PodDirectory {
  /** Pods that may hold replicas, as far as is known now. One that is missing for a while loses nothing. */
  list(): readonly DirectoryPod[];
  /** Calls `onChange` after each change of the list; returns the function that ends it. */
  watch(onChange: () => void): () => void;
  /** By a linearizable look: the pod of this UID does not run, and never will again. */
  isGone(pod: string, podUID: string): Promise<boolean>;
}

/** A list that is changed by hand. A pod that is taken from it is gone for good. */
export class PodList implements PodDirectory {
  #pods: readonly DirectoryPod[];
  readonly #watchers = new Set<() => void>();

  constructor(pods: readonly DirectoryPod[]) {
    this.#pods = pods;
  }

  list(): readonly DirectoryPod[] {
    return this.#pods;
  }

  set(pods: readonly DirectoryPod[]): void {
    this.#pods = pods;
    for (const watcher of this.#watchers) watcher();
  }

  watch(onChange: () => void): () => void {
    this.#watchers.add(onChange);
    return () => this.#watchers.delete(onChange);
  }

  isGone(pod: string): Promise<boolean> {
    return Promise.resolve(!this.#pods.some(({ name }) => name === pod));
  }
}
