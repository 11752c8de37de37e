/** One OpenAPI 3 document of all dialects, each under its tag. Schemas and operations get the dialect's name in front. */

import type { Dialect, HttpRoute, JsonSchema } from '../dialects/dialect.ts';

export function openApiDocument(dialects: readonly Dialect[], version: string): JsonSchema {
  const paths: Record<string, Record<string, unknown>> = {};
  const schemas: Record<string, unknown> = {};
  for (const dialect of dialects) {
    for (const [name, schema] of Object.entries(dialect.schemas)) schemas[`${dialect.name}.${name}`] = withReferences(schema, dialect);
    for (const route of dialect.routes) (paths[route.path] ??= {})[route.method.toLowerCase()] = operation(dialect, route);
  }
  for (const [path, { summary, type }] of Object.entries(serverPaths)) {
    paths[path] = { get: { tags: ['server'], operationId: `server.${path.slice(1)}`, summary, security: [], responses: { 200: { description: 'OK', content: { [type]: {} } } } } };
  }
  return {
    openapi: '3.0.3',
    info: { title: 'Shoal', version, description: 'A vector database. Every dialect below is a door to the same collections.' },
    tags: [...dialects.map(({ name, title }) => ({ name, description: title })), { name: 'server', description: 'The server itself' }],
    security: [{ bearer: [] }, { apiKey: [] }],
    paths,
    components: {
      schemas,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key' },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
      },
    },
  };
}

const serverPaths: Readonly<Record<string, { summary: string; type: string }>> = {
  '/health': { summary: '200 once it serves; JSON where Accept names it', type: 'text/plain' },
  '/livez': { summary: '200 while the process lives', type: 'text/plain' },
  '/readyz': { summary: '200 while it serves, else 503 with the reasons', type: 'text/plain' },
  '/metrics': { summary: 'Metrics in the text form of Prometheus', type: 'text/plain' },
};

function operation(dialect: Dialect, route: HttpRoute): JsonSchema {
  const pathParameters = [...route.path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: { type: 'string' } }));
  const queryParameters = Object.entries(route.query ?? {}).map(([name, schema]) => ({ name, in: 'query', schema: withReferences(schema, dialect) }));
  const json = (schema: JsonSchema | undefined, example: unknown): JsonSchema => ({
    'application/json': { ...(schema === undefined ? {} : { schema: withReferences(schema, dialect) }), ...(example === undefined ? {} : { example }) },
  });
  return {
    tags: [dialect.name],
    operationId: `${dialect.name}.${route.operationId}`,
    summary: route.summary,
    ...(route.action === 'none' ? { security: [] } : { description: `Needs a key that allows ${route.action}.` }),
    parameters: [...pathParameters, ...queryParameters],
    ...(route.body === 'json' ? { requestBody: { required: true, content: json(route.bodySchema, route.example?.body) } } : {}),
    responses: {
      '2XX': { description: 'The answer', content: json(route.replySchema, route.example?.reply) },
      default: { description: `An error in the form of ${dialect.title}` },
    },
  };
}

/** The schema with its references turned to the dialect's own schemas. */
function withReferences(value: unknown, dialect: Dialect): unknown {
  if (Array.isArray(value)) return value.map((item) => withReferences(item, dialect));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      if (key === '$ref' && typeof inner === 'string') return [key, inner.replace('#/components/schemas/', `#/components/schemas/${dialect.name}.`)];
      return [key, withReferences(inner, dialect)];
    }),
  );
}
