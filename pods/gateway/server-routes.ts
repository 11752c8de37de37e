/** What the server itself answers over HTTP: health, metrics and the OpenAPI document. */

import type { FastifyInstance } from 'fastify';
import { allow } from '../auth/authorized-api.ts';
import { credentialFrom } from '../auth/authenticator.ts';
import type { Authenticator } from '../auth/authenticator.ts';
import type { JsonSchema } from '../dialects/dialect.ts';
import type { PrometheusMetrics } from '../telemetry/prometheus-metrics.ts';

export interface Readiness {
  readonly ready: boolean;
  /** Why it is not ready, or what is amiss while it serves all the same; as sentences. */
  readonly reasons: readonly string[];
}

export interface ServerRoutesOptions {
  readonly readiness: () => Readiness;
  readonly authenticator: Authenticator;
  /** Undefined when switched off. */
  readonly exposedMetrics: PrometheusMetrics | undefined;
  /** Metrics without a key: figures about other people's collections are not for everyone on a network. */
  readonly metricsAreOpen: boolean;
}

export function mountServerRoutes(server: FastifyInstance, document: JsonSchema, options: ServerRoutesOptions): void {
  server.get('/health', (request, reply) => {
    const { ready, reasons } = options.readiness();
    reply.code(ready ? 200 : 503);
    if (/\bjson\b/.test(request.headers.accept ?? '')) return reply.type('application/json').send(JSON.stringify({ status: ready ? 'ok' : 'unavailable', ...(reasons.length === 0 ? {} : { reasons }) }));
    return reply.type('text/plain; charset=utf-8').send(ready ? 'OK' : 'UNAVAILABLE');
  });
  server.get('/livez', (_request, reply) => reply.type('text/plain; charset=utf-8').send('OK'));
  server.get('/readyz', (_request, reply) => {
    const { ready, reasons } = options.readiness();
    return reply
      .code(ready ? 200 : 503)
      .type('text/plain; charset=utf-8')
      .send(ready ? ['OK', ...reasons].join('\n') : reasons.map((reason) => `${reason}\n`).join(''));
  });
  const text = JSON.stringify(document);
  server.get('/openapi.json', (_request, reply) => reply.type('application/json; charset=utf-8').send(text));

  const { exposedMetrics } = options;
  if (exposedMetrics === undefined) return;
  server.get('/metrics', async (request, reply) => {
    if (!options.metricsAreOpen) {
      const { headers } = request;
      const apiKey = headers['x-api-key'];
      const identity = await options.authenticator.authenticate(credentialFrom(headers.authorization, typeof apiKey === 'string' ? apiKey : undefined));
      allow({ identity }, 'read');
    }
    return reply.type(exposedMetrics.contentType).send(exposedMetrics.scrape());
  });
}
