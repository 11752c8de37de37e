import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../kernel/logger.ts';
import { metricTable } from './metric-names.ts';
import type { MetricDeclaration } from './metric-names.ts';
import { single } from './metrics.ts';
import { observeProcess } from './process-metrics.ts';
import { createPrometheusMetrics } from './prometheus-metrics.ts';

test('counters, histograms and gauges in text form', () => {
  const metrics = createPrometheusMetrics(silentLogger);
  const labels = { transport: 'grpc', dialect: 'shoal', operation: 'Search' } as const;
  metrics.counter('requests', { ...labels, code: 'OK' }).add(2);
  metrics.counter('requests', { ...labels, code: 'OK' }).add(1);
  metrics.counter('requests', { ...labels, code: 'OVERLOADED' }).add(1);
  const duration = metrics.histogram('requestDuration', labels);
  for (const seconds of [0.000_25, 0.003, 0.003, 99]) duration.record(seconds);
  metrics.observe('points', () => [{ labels: { collection: 'a "quoted" name', shard: '0' }, value: 7 }]);
  const text = metrics.scrape();
  const lines = text.split('\n').filter((line) => !line.startsWith('# HELP'));
  assert.deepEqual(
    lines.filter((line) => line.includes('shoal_requests_total')),
    [
      '# TYPE shoal_requests_total counter',
      'shoal_requests_total{transport="grpc",dialect="shoal",operation="Search",code="OK"} 3',
      'shoal_requests_total{transport="grpc",dialect="shoal",operation="Search",code="OVERLOADED"} 1',
    ],
  );
  assert.deepEqual(
    lines.filter((line) => line.includes('shoal_points')),
    ['# TYPE shoal_points gauge', 'shoal_points{collection="a \\"quoted\\" name",shard="0"} 7'],
  );
  const buckets = Object.fromEntries([...text.matchAll(/shoal_request_duration_seconds_bucket\{.*,le="(.+)"\} (\d+)/g)].map((match) => [match[1], Number(match[2])]));
  assert.deepEqual([buckets['0.00025'], buckets['0.001'], buckets['0.005'], buckets['30'], buckets['+Inf']], [1, 1, 3, 3, 4]);
  assert.match(text, /shoal_request_duration_seconds_count\{.*\} 4\n/);
  assert.match(text, /shoal_request_duration_seconds_sum\{.*\} 99\.00625\n/);
});

test('a gauge that throws is left out, and one that was stopped is not read', () => {
  const metrics = createPrometheusMetrics(silentLogger);
  metrics.observe('logBytes', () => {
    throw new Error('broken');
  });
  metrics.observe('logSegments', single(() => 3));
  const stop = metrics.observe('collections', single(() => 1));
  stop();
  const text = metrics.scrape();
  assert.match(text, /^shoal_log_segments 3$/m);
  assert.doesNotMatch(text, /shoal_log_bytes|shoal_collections/);
});

test('the process is observed', () => {
  const metrics = createPrometheusMetrics(silentLogger);
  const observation = observeProcess(metrics, '1.2.3');
  const text = metrics.scrape();
  observation.close();
  for (const name of ['shoal_event_loop_delay_seconds{quantile="0.99"}', 'shoal_process_memory_bytes{kind="rss"}', 'shoal_process_cpu_seconds_total', 'shoal_build_info{version="1.2.3"']) {
    assert.ok(text.includes(name), name);
  }
});

test('the table keeps the conventions of its public names', () => {
  const declarations: MetricDeclaration[] = Object.values(metricTable);
  assert.equal(new Set(declarations.map(({ name }) => name)).size, declarations.length);
  for (const { name, kind, unit, bounds } of declarations) {
    assert.match(name, /^shoal_[a-z_]+$/);
    assert.equal(name.endsWith('_total'), kind === 'counter' || kind === 'observed-counter', name);
    if (unit !== undefined) assert.ok(name.replace(/_total$/, '').endsWith(`_${unit}`), name);
    assert.equal(bounds !== undefined, kind === 'histogram', name);
  }
});
