/** The other side of a `SendQueue` (pure): frames taken apart, large items joined, and what is owed of each window. */

import { limits } from '../kernel/limits.ts';
import { decodeFrame, decodeItem, encodeItem, laneOf, type ItemKind } from './frame.ts';
import { lanes, pieceCost, type Lane } from './lanes.ts';
import { malformed } from './malformed.ts';

export interface Received {
  readonly kind: Exclude<ItemKind, { $case: 'fragment' }>;
  /** What it takes of its lane's window until `settle` is called with it. */
  readonly cost: number;
}

interface Joining {
  pieces: Uint8Array[];
  sizeBytes: number;
  cost: number;
}

export class ReceiveQueue {
  readonly #version: number;
  readonly #joining: Record<Lane, Joining> = { messages: nothing(), requests: nothing(), answers: nothing() };
  readonly #owed: Record<Lane, number> = { messages: 0, requests: 0, answers: 0 };

  constructor(version: number) {
    this.#version = version;
  }

  /** The items that are complete with this frame, in order. MALFORMED_BODY when the peer does not keep to the protocol. */
  *take(bytes: Uint8Array): Generator<Received> {
    const { version, items } = decodeFrame(bytes);
    if (version !== this.#version) throw malformed(`a frame has version ${version} where ${this.#version} was agreed on`);
    for (const item of items) {
      const kind = decodeItem(item);
      if (kind === undefined) continue; // a newer process knows it
      if (kind.$case !== 'fragment') {
        yield { kind, cost: pieceCost(item.length) };
        continue;
      }
      const { lane, bytes: piece, last } = kind.fragment;
      const joined = this.#join(laneOf(lane), piece, last);
      if (joined !== undefined) yield joined;
    }
  }

  /** An item has been dealt with: its sender may send as much again. */
  settle(lane: Lane, cost: number): void {
    this.#owed[lane] += cost;
  }

  get owedBytes(): number {
    return this.#owed.messages + this.#owed.requests + this.#owed.answers;
  }

  get owesMessages(): boolean {
    return this.#owed.messages > 0;
  }

  /** The item that pays what is owed, if anything is. */
  takeCredit(): Uint8Array | undefined {
    if (this.owedBytes === 0) return undefined;
    const { messages, requests, answers } = this.#owed;
    for (const lane of lanes) this.#owed[lane] = 0;
    return encodeItem({ $case: 'credit', credit: { messageBytes: messages, requestBytes: requests, answerBytes: answers } });
  }

  #join(lane: Lane, piece: Uint8Array, last: boolean): Received | undefined {
    const joining = this.#joining[lane];
    joining.sizeBytes += piece.length;
    joining.cost += pieceCost(piece.length);
    if (joining.sizeBytes > limits.wireItemBytesMax) throw malformed(`an item has more than ${limits.wireItemBytesMax} bytes`);
    joining.pieces.push(piece);
    if (!last) return undefined;
    this.#joining[lane] = nothing();
    const kind = decodeItem(concatenated(joining));
    if (kind === undefined) {
      this.settle(lane, joining.cost);
      return undefined;
    }
    if (kind.$case === 'fragment') throw malformed('a fragment of fragments');
    return { kind, cost: joining.cost };
  }
}

function concatenated({ pieces, sizeBytes }: Joining): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  let offset = 0;
  for (const piece of pieces) {
    bytes.set(piece, offset);
    offset += piece.length;
  }
  return bytes;
}

function nothing(): Joining {
  return { pieces: [], sizeBytes: 0, cost: 0 };
}
