/**
 * vectron.auth.v1.AuthService: users, logins and their keys. This server has no users, so that every call answers
 * UNIMPLEMENTED, whatever is in it; it is declared, so that clients learn that by an answer in Vectron's form, and from the
 * documentation. Keys are made through shoal.v1.
 */

import { AuthServiceDefinition } from '../../../proto/gen/vectron/auth/v1/auth.ts';
import { ShoalError } from '../../kernel/errors.ts';
import { unary, type GrpcService, type HttpRoute, type RequiredAction } from '../dialect.ts';
import { strictDefinition } from '../grpc-definition.ts';

/** Who has no key yet is told too that there is nothing to register with. */
const open: ReadonlySet<string> = new Set(['registerUser', 'login']);

export function notOffered(): Promise<never> {
  return Promise.reject(new ShoalError('UNIMPLEMENTED', 'users are not offered by this server; API keys are made through shoal.v1'));
}

const actionOf = (name: string): RequiredAction => (open.has(name) ? 'none' : 'read');

const definition = strictDefinition(AuthServiceDefinition);

export const authService: GrpcService = {
  definition,
  methods: Object.fromEntries(Object.keys(definition).map((name) => [name, unary(actionOf(name), notOffered)])),
};

/** Under the names of the generated methods. `PUT /v1/user/profile` answers for VectronService too. */
const declared: readonly [name: keyof typeof definition, method: HttpRoute['method'], path: string, body: HttpRoute['body']][] = [
  ['registerUser', 'POST', '/v1/users/register', 'json'],
  ['login', 'POST', '/v1/users/login', 'json'],
  ['getUserProfile', 'GET', '/v1/user/profile', 'none'],
  ['updateUserProfile', 'PUT', '/v1/user/profile', 'json'],
  ['deleteUser', 'POST', '/v1/user/delete', 'json'],
  ['refreshToken', 'POST', '/v1/auth/refresh', 'none'],
  ['createAPIKey', 'POST', '/v1/keys', 'json'],
  ['listAPIKeys', 'GET', '/v1/keys', 'none'],
  ['deleteAPIKey', 'DELETE', '/v1/keys/{key_prefix}', 'none'],
  ['validateAPIKey', 'POST', '/v1/keys/validate', 'json'],
  ['createSDKJWT', 'POST', '/v1/sdk-jwt', 'json'],
];

export const authRoutes: readonly HttpRoute[] = declared.map(([name, method, path, body]) => ({
  method,
  path,
  operationId: definition[name].path.split('/')[2]!,
  summary: 'Not offered by this server: it has no users',
  action: actionOf(name),
  body,
  ...(body === 'json' ? { bodySchema: { type: 'object' } } : {}),
  handle: notOffered,
}));
