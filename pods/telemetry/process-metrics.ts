/** Metrics of the process itself: event loop, garbage collection, CPU and memory. */

import { PerformanceObserver, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { Metrics } from './metrics.ts';
import { single } from './metrics.ts';

export interface ProcessMetrics {
  close(): void;
}

const delayResolutionMs = 20;
const secondsPerNanosecond = 1e-9;

/** Delay and utilisation of the event loop are those since the scrape before. */
export function observeProcess(metrics: Metrics, version: string): ProcessMetrics {
  const delay = monitorEventLoopDelay({ resolution: delayResolutionMs });
  delay.enable();
  let collectionMs = 0;
  const collections = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) collectionMs += entry.duration;
  });
  collections.observe({ entryTypes: ['gc'] });
  let utilisation = performance.eventLoopUtilization();

  const stops = [
    metrics.observe('eventLoopDelay', () => {
      // The histogram measures the interval between two ticks, so a loop without any delay shows the resolution.
      const seconds = (nanoseconds: number): number => Math.max(0, (Number.isFinite(nanoseconds) ? nanoseconds : 0) * secondsPerNanosecond - delayResolutionMs / 1_000);
      const observations = [
        { labels: { quantile: '0.5' }, value: seconds(delay.percentile(50)) },
        { labels: { quantile: '0.99' }, value: seconds(delay.percentile(99)) },
        { labels: { quantile: '1' }, value: seconds(delay.max) },
      ];
      delay.reset();
      return observations;
    }),
    metrics.observe(
      'eventLoopUtilisation',
      single(() => {
        const now = performance.eventLoopUtilization();
        const since = performance.eventLoopUtilization(now, utilisation);
        utilisation = now;
        return since.utilization;
      }),
    ),
    metrics.observe('garbageCollection', single(() => collectionMs / 1_000)),
    metrics.observe(
      'processCpu',
      single(() => {
        const { user, system } = process.cpuUsage();
        return (user + system) / 1e6;
      }),
    ),
    metrics.observe('processMemory', () => {
      const { rss, heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage();
      return Object.entries({ rss, heapUsed, heapTotal, external, arrayBuffers }).map(([kind, value]) => ({ labels: { kind }, value }));
    }),
    metrics.observe('buildInformation', () => [{ labels: { version, node: process.versions.node }, value: 1 }]),
  ];
  return {
    close() {
      delay.disable();
      collections.disconnect();
      for (const stop of stops) stop();
    },
  };
}
