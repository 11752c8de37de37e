/** shoal.v1: `VectorApi` itself on the wire, in gRPC and as JSON under `/shoal/v1`. */

import type { Dialect, HttpReply } from '../dialect.ts';
import type { ShoalError } from '../../kernel/errors.ts';
import { mergedDefinitions } from '../json-decoder.ts';
import { clusterRoutes, clusterService } from './cluster-calls.ts';
import { collectionRoutes, collectionService } from './collection-calls.ts';
import { feedbackRoutes, feedbackService } from './feedback-calls.ts';
import { keyRoutes, keyService } from './key-calls.ts';
import { pointRoutes } from './point-routes.ts';
import { pointService } from './point-service.ts';
import { searchRoutes, searchService } from './search-calls.ts';

const routes = [...collectionRoutes, ...pointRoutes, ...searchRoutes, ...feedbackRoutes, ...keyRoutes, ...clusterRoutes];

export const shoalDialect: Dialect = {
  name: 'shoal',
  title: 'Shoal',
  mounts: ['/shoal'],
  routes: routes.map(({ route }) => route),
  services: [collectionService, pointService, searchService, feedbackService, keyService, clusterService],
  schemas: mergedDefinitions(routes.map(({ definitions }) => definitions)),
  encodeError,
};

function encodeError(error: ShoalError, requestId: string): HttpReply {
  const { code, message, details } = error;
  return { status: error.class.http, body: { error: { code, message, retry: error.class.retry, details, requestId } } };
}
