/** `shoal standalone`: reads the configuration, starts everything, says where it is, and ends in order. */

import { readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { resolve } from 'node:path';
import { readServerConfig, serverOptions, type ServerConfig } from '../kernel/config.ts';
import { beginServer, startFailed } from '../kernel/server-process.ts';
import { programVersion } from '../kernel/version.ts';
import { startStandalone, type Standalone } from './standalone.ts';

const command = 'shoal standalone';

/** Exit codes: 0 ended as asked, 1 failed, 2 wrong usage. Does not return while it serves. */
export async function main(argv: readonly string[]): Promise<number> {
  const begun = beginServer(command, argv, serverOptions, readServerConfig);
  if (typeof begun === 'number') return begun;
  const { config, logger, shutdown } = begun;
  const version = programVersion();
  // Timers of the clock do not keep a process alive, and before the servers listen nothing else may.
  const alive = setInterval(() => undefined, 60_000);
  try {
    const standalone = await startStandalone({
      config: { ...config, dataDirectory: resolve(config.dataDirectory) },
      version,
      descriptors: readFileSync(new URL('../../proto/gen/descriptors.binpb', import.meta.url)),
      logger,
      shutdown,
      unsafeSkipSync: process.env['SHOAL_TEST_UNSAFE_SKIP_SYNC'] === '1',
      // Rule F1: a failed fsync ends the process. What was acknowledged is on the disk; a new process finds out.
      onFailure: (error) => {
        logger.error({ error }, 'the log or the store failed; ending the process');
        setImmediate(() => process.exit(1));
      },
    });
    clearInterval(alive);
    // Where `NODE_COMPILE_CACHE` names a directory: Node writes to it at an orderly end only, and the next start should
    // be fast after a kill too. Once written there is nothing to do.
    flushCompileCache();
    process.stdout.write(greeting(version, config, standalone));
    return await new Promise<number>(() => undefined);
  } catch (error) {
    return await startFailed(command, error, begun);
  }
}

/** Printed once everything serves; the three lines can be pasted as they are. */
function greeting(version: string, config: ServerConfig, { gateway, dataDirectory, firstKey }: Standalone): string {
  const scheme = config.tlsCertificate === undefined ? 'http' : 'https';
  const host = gateway.httpAddress.host.includes(':') ? `[${gateway.httpAddress.host}]` : gateway.httpAddress.host;
  const url = `${scheme}://${host}:${gateway.httpAddress.port}`;
  const key = firstKey ?? '$SHOAL_API_KEY';
  const curl = (path: string, body: string): string =>
    `curl -sS ${url}${path}${config.noAuth ? '' : ` -H "Authorization: Bearer ${key}"`} -H 'Content-Type: application/json' -d '${body}'`;
  return [
    `Shoal ${version}`,
    `  HTTP   ${url}  (documentation at ${url}/docs)`,
    `  gRPC   ${host}:${gateway.grpcAddress.port}`,
    `  data   ${dataDirectory}`,
    ...(firstKey === undefined ? [] : [`  key    ${firstKey}  (all rights; shown only now)`]),
    '',
    'Try it:',
    curl('/v1/collections', '{"name":"demo","dimension":3,"distance":"cosine"}'),
    curl('/v1/collections/demo/points', '{"points":[{"id":"a","vector":[1,0,0],"payload":{"colour":"red"}},{"id":"b","vector":[0,1,0]}]}'),
    curl('/v1/collections/demo/points/search', '{"vector":[0.9,0.1,0],"topK":2}'),
    '',
    '',
  ].join('\n');
}
