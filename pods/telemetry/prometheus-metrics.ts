/**
 * Metrics in Prometheus' text form. Values are added up here, in plain numbers: recording through the OpenTelemetry SDK's
 * instruments hashes the labels each time (measured: 650 ns; here 1 ns for a counter, 8 ns for a histogram). At a scrape
 * they become OpenTelemetry metric data, which its serializer writes, so that another exporter could take them too.
 */

import { ValueType } from '@opentelemetry/api';
import type { HrTime } from '@opentelemetry/api';
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type { DataPoint, MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import { metricTable } from './metric-names.ts';
import type { MetricDeclaration, MetricName } from './metric-names.ts';
import type { Counter, Histogram, Metrics } from './metrics.ts';

export interface PrometheusMetrics extends Metrics {
  readonly contentType: string;
  /** All metrics at this moment. */
  scrape(): string;
}

type Labels = Readonly<Record<string, string>>;

class CounterSeries implements Counter {
  readonly labels: Labels;
  total = 0;

  constructor(labels: Labels) {
    this.labels = labels;
  }

  add(amount: number): void {
    this.total += amount;
  }
}

class HistogramSeries implements Histogram {
  readonly labels: Labels;
  readonly bounds: readonly number[];
  /** One more than the bounds: the last counts what lies above them all. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(labels: Labels, bounds: readonly number[]) {
    this.labels = labels;
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  record(value: number): void {
    let at = 0;
    while (at < this.bounds.length && value > this.bounds[at]!) at++;
    this.counts[at]!++;
    this.sum += value;
  }
}

export function createPrometheusMetrics(logger: Logger): PrometheusMetrics {
  const counters = new Map<MetricName, Map<string, CounterSeries>>();
  const histograms = new Map<MetricName, Map<string, HistogramSeries>>();
  const observers = new Map<MetricName, Set<() => Iterable<{ readonly labels: Labels; readonly value: number }>>>();
  const serializer = new PrometheusSerializer(undefined, false, undefined, true, true);

  const observed = (name: MetricName): DataPoint<number>[] => {
    const points: DataPoint<number>[] = [];
    for (const read of observers.get(name) ?? []) {
      try {
        for (const { labels, value } of read()) {
          if (points.length < limits.metricSeriesMax) points.push(dataPoint(labels, value));
        }
      } catch (error) {
        logger.warn({ metric: name, error }, 'a metric could not be read');
      }
    }
    return points;
  };

  const collect = (): ResourceMetrics => {
    const metrics: MetricData[] = [];
    for (const [name, declaration] of Object.entries(metricTable) as [MetricName, MetricDeclaration][]) {
      const descriptor = { name: declaration.name, description: declaration.help, unit: declaration.unit ?? '', valueType: ValueType.DOUBLE };
      const aggregationTemporality = AggregationTemporality.CUMULATIVE;
      if (declaration.kind === 'histogram') {
        const dataPoints = [...(histograms.get(name)?.values() ?? [])].map(histogramPoint);
        if (dataPoints.length > 0) metrics.push({ descriptor, aggregationTemporality, dataPointType: DataPointType.HISTOGRAM, dataPoints });
        continue;
      }
      const dataPoints = declaration.kind === 'counter' ? [...(counters.get(name)?.values() ?? [])].map(({ labels, total }) => dataPoint(labels, total)) : observed(name);
      if (dataPoints.length === 0) continue;
      if (declaration.kind === 'gauge') metrics.push({ descriptor, aggregationTemporality, dataPointType: DataPointType.GAUGE, dataPoints });
      else metrics.push({ descriptor, aggregationTemporality, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints });
    }
    return { resource, scopeMetrics: [{ scope: { name: 'shoal' }, metrics }] };
  };

  return {
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
    counter: (name, labels) => seriesOf(counters, name, labels, () => new CounterSeries(labels)),
    histogram: (name, labels) => seriesOf(histograms, name, labels, () => new HistogramSeries(labels, metricTable[name].bounds)),
    observe(name, read) {
      const readers = observers.get(name) ?? new Set();
      observers.set(name, readers.add(read));
      return () => void readers.delete(read);
    },
    scrape: () => `${serializer.serialize(collect())}\n`,
  };
}

const resource = resourceFromAttributes({ 'service.name': 'shoal' });
const noTime: HrTime = [0, 0];

function seriesOf<Series>(all: Map<MetricName, Map<string, Series>>, name: MetricName, labels: Labels, make: () => Series): Series {
  let family = all.get(name);
  if (family === undefined) all.set(name, (family = new Map()));
  const key = JSON.stringify(metricTable[name].labels.map((label) => labels[label]));
  let series = family.get(key);
  if (series === undefined) family.set(key, (series = make()));
  return series;
}

function dataPoint(attributes: Labels, value: number): DataPoint<number> {
  return { startTime: noTime, endTime: noTime, attributes, value };
}

function histogramPoint({ labels, bounds, counts, sum }: HistogramSeries): Extract<MetricData, { dataPointType: DataPointType.HISTOGRAM }>['dataPoints'][number] {
  const count = counts.reduce((total, each) => total + each, 0);
  return { startTime: noTime, endTime: noTime, attributes: labels, value: { buckets: { boundaries: [...bounds], counts: [...counts] }, sum, count } };
}
