/**
 * What the rest of the program sees of metrics. A counter or histogram is asked for once, with its labels, where the code
 * is set up; recording into it then costs a few nanoseconds.
 */

import type { CounterName, HistogramName, LabelsOf, ObservedName } from './metric-names.ts';

export interface Counter {
  add(amount: number): void;
}

export interface Histogram {
  /** In the unit that the table names. */
  record(value: number): void;
}

export interface Observation<Name extends ObservedName> {
  readonly labels: LabelsOf<Name>;
  readonly value: number;
}

export interface Metrics {
  /** The same name and labels give the same counter. */
  counter<Name extends CounterName>(name: Name, labels: LabelsOf<Name>): Counter;
  histogram<Name extends HistogramName>(name: Name, labels: LabelsOf<Name>): Histogram;
  /** `read` runs at each scrape; it must be quick and is left out of the answer when it throws. The answer ends the observation. */
  observe<Name extends ObservedName>(name: Name, read: () => Iterable<Observation<Name>>): () => void;
}

/** For a metric without labels. */
export function single<Name extends ObservedName>(read: () => number): () => Iterable<Observation<Name>> {
  return () => [{ labels: {} as LabelsOf<Name>, value: read() }];
}

export const noMetrics: Metrics = {
  counter: () => ({ add: () => undefined }),
  histogram: () => ({ record: () => undefined }),
  observe: () => () => undefined,
};
