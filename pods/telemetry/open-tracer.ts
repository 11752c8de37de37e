/** The tracer that the options ask for. Its packages take a good part of a start to load: only who asks for traces waits for them. */

import { noTracer, type Tracer } from './tracer.ts';

export async function openTracer(config: { readonly otlpEndpoint: string | undefined; readonly traceSampleRatio: number }, version: string): Promise<Tracer> {
  const { otlpEndpoint: endpoint, traceSampleRatio: sampleRatio } = config;
  if (endpoint === undefined) return noTracer;
  const { createOtlpTracer } = await import('./otlp-tracer.ts');
  return createOtlpTracer({ endpoint, sampleRatio, version });
}
