/**
 * The core filter language: conditions on payload fields, joined by and, or, not. Every dialect decodes its own form
 * into this one; `filter-json.ts` decodes the form of `shoal.v1`.
 *
 * A field is a dotted path into nested objects (`author.name`). A condition on a field that holds an array is true when
 * it is true of any element. A condition on a field that is missing is false (so `not` of it is true).
 */

/** What a condition compares with: typed, so that the string "1" never equals the number 1. */
export type FilterValue = string | number | boolean | null;

export type Filter =
  | { readonly kind: 'and'; readonly filters: readonly Filter[] }
  | { readonly kind: 'or'; readonly filters: readonly Filter[] }
  | { readonly kind: 'not'; readonly filter: Filter }
  | { readonly kind: 'equals'; readonly field: string; readonly value: FilterValue }
  | { readonly kind: 'in'; readonly field: string; readonly values: readonly FilterValue[] }
  | RangeFilter
  | { readonly kind: 'exists'; readonly field: string };

/** Bounds are numbers, or RFC 3339 instants for datetime fields; at least one is given, and all are of one type. */
export interface RangeFilter {
  readonly kind: 'range';
  readonly field: string;
  readonly gt?: number | string;
  readonly gte?: number | string;
  readonly lt?: number | string;
  readonly lte?: number | string;
}

export const payloadIndexTypes = ['keyword', 'integer', 'float', 'bool', 'datetime'] as const;
export type PayloadIndexType = (typeof payloadIndexTypes)[number];

export interface PayloadIndexSpec {
  readonly field: string;
  readonly type: PayloadIndexType;
}
