/** Distance metrics, and the score that public answers give: higher is better for every metric. */

export const metrics = ['cosine', 'euclidean', 'dot'] as const;
export type Metric = (typeof metrics)[number];

export function isMetric(value: unknown): value is Metric {
  return (metrics as readonly unknown[]).includes(value);
}

/** Cosine similarity, inner product, or 1 / (1 + distance), from the index's distance (see pods/index/vector-index.ts). */
export function scoreFromDistance(metric: Metric, distance: number): number {
  switch (metric) {
    case 'cosine':
      // Rounding may carry an identical vector a little past 1.
      return Math.min(1, Math.max(-1, 1 - distance));
    case 'dot':
      return -distance;
    case 'euclidean':
      return 1 / (1 + Math.sqrt(Math.max(0, distance)));
  }
}
