/** A stream of frames in both directions, whichever side opened it; and the one gRPC method behind it. */

import type { ClientDuplexStream, MethodDefinition, ServerDuplexStream, ServiceError } from '@grpc/grpc-js';
import { PeerServiceService } from '../../proto/gen/shoal/shard/v1/peer.ts';
import { ShoalError, errorTable, grpcStatus } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';

export interface FrameHandlers {
  frame(bytes: Uint8Array): void;
  /** Once, however the stream ends: UNAVAILABLE, or CONFLICT where the other side keeps another stream of the pair. */
  closed(reason: ShoalError): void;
}

export interface FrameStream {
  /** Who handles it from now on. To be called at once, and again whenever another takes over. */
  handle(handlers: FrameHandlers): void;
  /** `gone` is called when the frame has left for the network. */
  write(frame: Uint8Array, gone: () => void): void;
  /** What the other side has shown of itself (DER), once the handshake is through; undefined without TLS. */
  peerCertificate(): Uint8Array | undefined;
  /** The error's message reaches the other side where the one who accepted the stream closes it. */
  close(reason: ShoalError): void;
}

const asBytes = (bytes: Uint8Array): Buffer => bytes as Buffer;

/** Frames pass the library as bytes: the codec is ours. */
export const connectMethod: MethodDefinition<Uint8Array, Uint8Array> = {
  path: PeerServiceService.connect.path,
  requestStream: true,
  responseStream: true,
  requestSerialize: asBytes,
  requestDeserialize: (bytes) => bytes,
  responseSerialize: asBytes,
  responseDeserialize: (bytes) => bytes,
};

/** Of both sides. Pings find a peer that is gone without a word, be it that nothing arrives any more or that it has stopped. */
export const channelOptions = {
  'grpc.max_receive_message_length': limits.wireFrameBytesMax,
  'grpc.max_send_message_length': limits.wireFrameBytesMax,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.enable_channelz': 0,
} as const;

/** The stream that this process opened; `release` ends what carries it. */
export function openedStream(call: ClientDuplexStream<Uint8Array, Uint8Array>, release: () => void): FrameStream {
  const handlers = new Handlers();
  call.on('data', (bytes: Uint8Array) => handlers.frame(bytes));
  call.on('error', (error: ServiceError) => {
    const isConflict = error.code === (grpcStatus[errorTable.CONFLICT.grpc] as number);
    handlers.closed(new ShoalError(isConflict ? 'CONFLICT' : 'UNAVAILABLE', error.details === '' ? error.message : error.details));
    release();
  });
  call.on('end', () => {
    handlers.closed(new ShoalError('UNAVAILABLE', 'the other side ended the connection'));
    release();
  });
  return {
    handle: (next) => handlers.set(next),
    write: (frame, gone) => void call.write(frame, gone),
    peerCertificate: () => call.getAuthContext()?.sslPeerCertificate?.raw,
    close(reason) {
      handlers.closed(reason);
      call.cancel();
      release();
    },
  };
}

/** A stream that another process opened here. */
export function acceptedStream(call: ServerDuplexStream<Uint8Array, Uint8Array>): FrameStream {
  const handlers = new Handlers();
  call.on('data', (bytes: Uint8Array) => handlers.frame(bytes));
  for (const event of ['cancelled', 'close']) call.on(event, () => handlers.closed(new ShoalError('UNAVAILABLE', 'the connection was lost')));
  call.on('error', (error: Error) => handlers.closed(new ShoalError('UNAVAILABLE', error.message)));
  call.on('end', () => {
    handlers.closed(new ShoalError('UNAVAILABLE', 'the other side ended the connection'));
    call.end();
  });
  return {
    handle: (next) => handlers.set(next),
    write: (frame, gone) => void call.write(frame, gone),
    peerCertificate: () => call.getAuthContext()?.sslPeerCertificate?.raw,
    close(reason) {
      handlers.closed(reason);
      const status = { code: grpcStatus[reason.class.grpc], details: reason.message };
      call.emit('error', Object.assign(new Error(reason.message), status));
    },
  };
}

class Handlers {
  #present: FrameHandlers | undefined;
  #isClosed = false;

  set(handlers: FrameHandlers): void {
    this.#present = handlers;
  }

  frame(bytes: Uint8Array): void {
    if (!this.#isClosed) this.#present?.frame(bytes);
  }

  closed(reason: ShoalError): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#present?.closed(reason);
  }
}
