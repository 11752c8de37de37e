/** Query parameters against what a route declares: an unknown or repeated one is refused, not passed over. */

import type { HttpRoute } from '../dialects/dialect.ts';
import { ShoalError } from '../kernel/errors.ts';

const none: Readonly<Record<string, string>> = Object.freeze({});

export function parseQuery(route: Pick<HttpRoute, 'query'>, url: string): Readonly<Record<string, string>> {
  const start = url.indexOf('?');
  if (start < 0 || start === url.length - 1) return none;
  const parameters: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, value] of new URLSearchParams(url.slice(start + 1))) {
    const shown = name.slice(0, 64);
    if (route.query === undefined || !Object.hasOwn(route.query, name)) throw new ShoalError('UNKNOWN_FIELD', `unknown query parameter "${shown}"`, { details: { field: shown } });
    if (name in parameters) throw new ShoalError('INVALID_ARGUMENT', `the query parameter "${shown}" is given twice`, { details: { field: shown } });
    parameters[name] = value;
  }
  return parameters;
}
