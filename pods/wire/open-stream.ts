/** Opens the gRPC stream to an address. Each has a channel of its own, so that a later one uses the certificate of its time. */

import { Client, Metadata, credentials } from '@grpc/grpc-js';
import { isLoopback } from '../kernel/config.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { channelOptions, connectMethod, openedStream, type FrameStream } from './frame-stream.ts';
import type { PeerTls } from './peer-tls.ts';

export interface KeepAlive {
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/** `address` is `host:port`. UNAVAILABLE for one that is not loopback without TLS. */
export function openStream(address: string, tls: PeerTls | undefined, keepAlive: KeepAlive): FrameStream {
  if (tls === undefined && !isLoopback(hostOf(address))) {
    throw new ShoalError('UNAVAILABLE', `${address} is no loopback address, and without --internal-tls-cert nothing else is spoken to`, { details: { field: 'internal-tls-cert' } });
  }
  const client = new Client(address, tls === undefined ? credentials.createInsecure() : tls.channelCredentials(), {
    ...channelOptions,
    ...(tls?.serverName === undefined ? {} : { 'grpc.ssl_target_name_override': tls.serverName }),
    'grpc.keepalive_time_ms': keepAlive.intervalMs,
    'grpc.keepalive_timeout_ms': keepAlive.timeoutMs,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_http_proxy': 0,
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc-node.flow_control_window': limits.wireFrameBytesMax,
  });
  const call = client.makeBidiStreamRequest(connectMethod.path, connectMethod.requestSerialize, connectMethod.responseDeserialize, new Metadata());
  return openedStream(call, () => client.close());
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':'));
}
