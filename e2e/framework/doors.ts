/** The four doors to the same collections, gRPC and HTTP of both dialects, behind one interface, with the errors as each door gives them. */

import { CreateCollectionRequest as VectronCreate, SearchRequest as VectronSearch, UpsertRequest as VectronUpsert, VectronServiceService as vectron } from '../../proto/gen/vectron/v1/apigateway.ts';
import { errorTable, type ErrorCode, type GrpcStatusName } from '../../pods/kernel/errors.ts';
import { GrpcConnection, GrpcFailure } from './grpc-client.ts';
import { HttpConnection, type HttpAnswer } from './http-client.ts';
import { ShoalClient } from './shoal-client.ts';
import type { ServerProcess } from './server-process.ts';

/** An error as a client meets it: the code of the table and the status of the door. */
export interface Refusal {
  readonly code: string | undefined;
  readonly status: string | number;
}

export interface DoorPoint {
  readonly id: string;
  readonly vector: number[];
  readonly payload?: Record<string, string>;
}

/** Each call resolves to undefined when it succeeds. */
export interface Door {
  readonly name: string;
  /** What `code` has to look like here. */
  expected(code: ErrorCode): Refusal;
  create(name: string, dimension: number, metric?: string): Promise<Refusal | undefined>;
  upsert(collection: string, points: readonly DoorPoint[]): Promise<Refusal | undefined>;
  search(collection: string, vector: number[], more?: { topK?: number; filter?: Record<string, unknown> }): Promise<Refusal | undefined>;
  get(collection: string, id: string): Promise<Refusal | undefined>;
  delete(collection: string, id: string): Promise<Refusal | undefined>;
  drop(name: string): Promise<Refusal | undefined>;
  close(): void;
}

/** HTTP statuses of gRPC's codes, as google.rpc.Code documents them: the form of Vectron's errors. */
const httpOfGrpc: Partial<Record<GrpcStatusName, number>> = {
  INVALID_ARGUMENT: 400,
  DEADLINE_EXCEEDED: 504,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  PERMISSION_DENIED: 403,
  RESOURCE_EXHAUSTED: 429,
  FAILED_PRECONDITION: 400,
  UNIMPLEMENTED: 501,
  UNAVAILABLE: 503,
  UNAUTHENTICATED: 401,
};
const ofHttpItself: readonly string[] = ['METHOD_NOT_ALLOWED', 'BODY_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'];

export function doorsTo(server: ServerProcess, key: string | undefined): Door[] {
  return [shoalGrpc(server, key), shoalHttp(server, key), vectronGrpc(server, key), vectronHttp(server, key)];
}

export function vectronStatus(code: ErrorCode): number {
  return ofHttpItself.includes(code) ? errorTable[code].http : httpOfGrpc[errorTable[code].grpc]!;
}

export function shoalRefusal({ status, json }: HttpAnswer): Refusal | undefined {
  return status === 200 ? undefined : { status, code: (json as { error?: { code?: string } } | undefined)?.error?.code };
}

export function vectronRefusal({ status, json }: HttpAnswer): Refusal | undefined {
  return status === 200 ? undefined : { status, code: (json as { details?: { reason?: string }[] } | undefined)?.details?.[0]?.reason };
}

export async function grpcRefusal(call: Promise<unknown>): Promise<Refusal | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (error instanceof GrpcFailure) return { status: error.status, code: error.code };
    throw error;
  }
}

const ofGrpc = (code: ErrorCode): Refusal => ({ code, status: errorTable[code].grpc });

function shoalGrpc(server: ServerProcess, key: string | undefined): Door {
  const client = new ShoalClient({ grpcAddress: server.grpcAddress, key });
  return {
    name: 'shoal gRPC',
    expected: ofGrpc,
    create: (name, dimension, metric) => grpcRefusal(client.createCollection({ name, dimension, metric })),
    upsert: (collection, points) => grpcRefusal(client.upsert({ collection, points: points.map((point) => ({ ...point })) })),
    search: (collection, vector, more) => grpcRefusal(client.search(collection, { vector, ...more })),
    get: (collection, id) => grpcRefusal(client.get(collection, [id])),
    delete: (collection, id) => grpcRefusal(client.delete({ collection, points: [{ id }] })),
    drop: (name) => grpcRefusal(client.deleteCollection(name)),
    close: () => client.close(),
  };
}

function shoalHttp(server: ServerProcess, key: string | undefined): Door {
  const http = new HttpConnection(server.httpUrl, key);
  const send = async (path: string, body: unknown, method?: string): Promise<Refusal | undefined> =>
    shoalRefusal(await http.send(`/shoal/v1/collections${path}`, { body, ...(method === undefined ? {} : { method }) }));
  const of = (collection: string): string => `/${encodeURIComponent(collection)}`;
  return {
    name: 'shoal HTTP',
    expected: (code) => ({ code, status: errorTable[code].http }),
    create: (name, dimension, metric) => send('', { name, dimension, metric }),
    upsert: (collection, points) => send(`${of(collection)}/points`, { points }),
    search: (collection, vector, more) => send(`${of(collection)}/search`, { vector, ...more }),
    get: (collection, id) => send(`${of(collection)}/points/get`, { ids: [id] }),
    delete: (collection, id) => send(`${of(collection)}/points/delete`, { points: [{ id }] }),
    drop: (name) => send(of(name), undefined, 'DELETE'),
    close: () => undefined,
  };
}

function vectronGrpc(server: ServerProcess, key: string | undefined): Door {
  const connection = new GrpcConnection(server.grpcAddress, key);
  return {
    name: 'Vectron gRPC',
    expected: ofGrpc,
    create: (name, dimension, distance) => grpcRefusal(connection.call(vectron.createCollection, VectronCreate.fromPartial({ name, dimension, distance: distance ?? '' }))),
    upsert: (collection, points) =>
      grpcRefusal(
        connection.call(vectron.upsert, VectronUpsert.fromPartial({ collection, points: points.map(({ id, vector, payload }) => ({ id, vector, payload: new Map(Object.entries(payload ?? {})) })) })),
      ),
    search: (collection, vector, more) => grpcRefusal(connection.call(vectron.search, VectronSearch.fromPartial({ collection, vector, topK: more?.topK ?? 10, filter: more?.filter }))),
    get: (collection, id) => grpcRefusal(connection.call(vectron.get, { collection, id })),
    delete: (collection, id) => grpcRefusal(connection.call(vectron.delete, { collection, id })),
    drop: (name) => grpcRefusal(connection.call(vectron.deleteCollection, { name })),
    close: () => connection.close(),
  };
}

function vectronHttp(server: ServerProcess, key: string | undefined): Door {
  const http = new HttpConnection(server.httpUrl, key);
  const send = async (path: string, body: unknown, method?: string): Promise<Refusal | undefined> =>
    vectronRefusal(await http.send(`/v1/collections${path}`, { body, ...(method === undefined ? {} : { method }) }));
  const of = (text: string): string => `/${encodeURIComponent(text)}`;
  return {
    name: 'Vectron HTTP',
    expected: (code) => ({ code, status: vectronStatus(code) }),
    create: (name, dimension, distance) => send('', { name, dimension, ...(distance === undefined ? {} : { distance }) }),
    upsert: (collection, points) => send(`${of(collection)}/points`, { points }),
    search: (collection, vector, more) => send(`${of(collection)}/points/search`, { vector, ...more }),
    get: (collection, id) => send(`${of(collection)}/points${of(id)}`, undefined, 'GET'),
    delete: (collection, id) => send(`${of(collection)}/points${of(id)}`, undefined, 'DELETE'),
    drop: (name) => send(of(name), undefined, 'DELETE'),
    close: () => undefined,
  };
}
