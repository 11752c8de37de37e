/**
 * Figures at equal recall. A breadth (`ef`) means something else in every index, so peers are compared where they find equally
 * many of the nearest: each is measured over a sweep of breadths, and a figure at a recall comes from its two neighbours there.
 *
 * Between them the logarithm of the figure is taken to be linear in the logarithm of the misses (1 - recall): halving the misses
 * costs about the same factor everywhere along the curve, which no straight line over recall itself would say.
 */

export interface MeasuredPoint {
  readonly recall: number;
  readonly figure: number;
}

export type FigureAtRecall =
  | { readonly is: 'between'; readonly figure: number }
  /** The narrowest search that was measured finds more already: less would do. */
  | { readonly is: 'narrowest'; readonly figure: number; readonly recall: number }
  /** No search that was measured finds that many. */
  | { readonly is: 'not reached' };

/** Nothing is missed at a recall of 1; the logarithm needs something. */
const fewestMisses = 1e-5;

export function figureAtRecall(points: readonly MeasuredPoint[], recall: number): FigureAtRecall {
  const sorted = [...points].sort((a, b) => a.recall - b.recall);
  const above = sorted.findIndex((point) => point.recall >= recall);
  if (above === -1) return { is: 'not reached' };
  const upper = sorted[above]!;
  if (upper.recall === recall) return { is: 'between', figure: upper.figure };
  if (above === 0) return { is: 'narrowest', figure: upper.figure, recall: upper.recall };
  const lower = sorted[above - 1]!;
  const from = logOfMisses(lower.recall);
  const share = (logOfMisses(recall) - from) / (logOfMisses(upper.recall) - from);
  // A clock that is too coarse for a short series may have seen nothing: then there is no logarithm.
  if (!(lower.figure > 0 && upper.figure > 0)) return { is: 'between', figure: lower.figure * (1 - share) + upper.figure * share };
  return { is: 'between', figure: Math.exp(Math.log(lower.figure) * (1 - share) + Math.log(upper.figure) * share) };
}

function logOfMisses(recall: number): number {
  return Math.log(Math.max(fewestMisses, 1 - recall));
}
