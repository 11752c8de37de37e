/**
 * The first frame of each side: the opener says who it is and whom it means to reach; the other one looks whether that
 * is itself, whether they share a version and whether it wants the stream, then says the same. Nothing else is sent
 * before; a stream that stays silent is closed.
 */

import type { Clock } from '../kernel/clock.ts';
import { ShoalError, asShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { decodeFrame, decodeItem, encodeFrame, encodeItem } from './frame.ts';
import type { FrameStream } from './frame-stream.ts';
import { malformed } from './malformed.ts';
import { agreedVersion, greetingOf, helloMessage, type Greeting } from './peer-identity.ts';

export interface Greeted {
  readonly stream: FrameStream;
  readonly other: Greeting;
  readonly version: number;
}

export interface Outcome {
  /** Called within the handling of the frame: who takes over loses nothing. */
  greeted(greeted: Greeted): void;
  failed(error: ShoalError): void;
}

/** Of the side that opened the stream. `admit` throws what shall refuse the answer. */
export function greet(stream: FrameStream, own: Greeting, clock: Clock, admit: (other: Greeting) => void, outcome: Outcome): void {
  expectHello(stream, clock, outcome, (other) => {
    if (other.connection !== own.connection || other.identity.name !== own.to) {
      throw new ShoalError('UNAVAILABLE', `${other.identity.name} answered at the address of ${own.to}`);
    }
    admit(other);
    outcome.greeted({ stream, other, version: agreedVersion(own.versions, other.versions, other.identity.name) });
  });
  sayHello(stream, own);
}

/** Of the side that accepted it. `admit` throws what shall refuse it. */
export function welcome(stream: FrameStream, own: Pick<Greeting, 'identity' | 'versions'>, clock: Clock, admit: (other: Greeting) => void, outcome: Outcome): void {
  expectHello(stream, clock, outcome, (other) => {
    const version = agreedVersion(own.versions, other.versions, other.identity.name);
    if (other.to !== own.identity.name) throw new ShoalError('UNAVAILABLE', `this is ${own.identity.name}, not ${other.to}`);
    admit(other);
    sayHello(stream, { ...own, to: other.identity.name, connection: other.connection, previous: '' });
    outcome.greeted({ stream, other, version });
  });
}

function expectHello(stream: FrameStream, clock: Clock, outcome: Outcome, onHello: (other: Greeting) => void): void {
  const fail = (error: ShoalError): void => {
    timer.cancel();
    stream.handle({ frame: () => undefined, closed: () => undefined });
    stream.close(error);
    outcome.failed(error);
  };
  const timer = clock.after(limits.wireConnectTimeoutMs, () => fail(new ShoalError('UNAVAILABLE', `no greeting within ${limits.wireConnectTimeoutMs} ms`)));
  stream.handle({
    frame(bytes) {
      try {
        const [item] = decodeFrame(bytes).items;
        const kind = item === undefined ? undefined : decodeItem(item);
        if (kind?.$case !== 'hello') throw malformed('the first frame has no greeting');
        const other = greetingOf(kind.hello);
        timer.cancel();
        onHello(other);
      } catch (error) {
        fail(asShoalError(error));
      }
    },
    closed: fail,
  });
}

/** In the oldest version that the sender speaks, so that an older process can read who it is and refuse it by name. */
function sayHello(stream: FrameStream, own: Greeting): void {
  stream.write(encodeFrame(own.versions.oldest, [[encodeItem({ $case: 'hello', hello: helloMessage(own) })]]), () => undefined);
}
