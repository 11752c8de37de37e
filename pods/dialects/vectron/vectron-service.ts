/** vectron.v1.VectronService over gRPC. */

import { VectronServiceDefinition } from '../../../proto/gen/vectron/v1/apigateway.ts';
import type * as wire from '../../../proto/gen/vectron/v1/apigateway.ts';
import { serverStream, unary, type GrpcService } from '../dialect.ts';
import { strictDefinition } from '../grpc-definition.ts';
import { notOffered } from './vectron-auth.ts';
import {
  createCollection, deleteCollection, deletePoint, getCollectionStatus, getPoint, listCollections, search, searchStream, submitFeedback, upsert,
} from './vectron-calls.ts';

export const vectronService: GrpcService = {
  definition: strictDefinition(VectronServiceDefinition),
  methods: {
    createCollection: unary('admin', createCollection),
    deleteCollection: unary('admin', deleteCollection),
    upsert: unary('write', upsert),
    search: unary('read', (api, request: wire.SearchRequest, context) => search(api, request, context, 'protobuf')),
    searchStream: serverStream('read', searchStream),
    get: unary('read', getPoint),
    delete: unary('write', deletePoint),
    listCollections: unary('read', listCollections),
    getCollectionStatus: unary('read', getCollectionStatus),
    updateUserProfile: unary('read', notOffered),
    submitFeedback: unary('write', submitFeedback),
  },
};
