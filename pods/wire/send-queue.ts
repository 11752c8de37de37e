/**
 * What waits to be sent on one connection, and in which order it goes (pure).
 *
 *     control   credit, cancel: first, always
 *     messages  ─┐  small items and one large one side by side;
 *     requests  ─┼─ each lane in turn, a piece's worth of small items, then a piece of its large one,
 *     answers   ─┘  as far as the lane's window allows
 *
 * So a large item never holds up small ones for longer than a piece, nor does one lane another. Items of one order key
 * stay in order: behind a large one, small ones of its key wait with the large ones.
 */

import { limits } from '../kernel/limits.ts';
import { Fifo } from './fifo.ts';
import { encodeFragment, encodeFrame, fragmentHeaderBytes, frameHeaderBytes, itemHeaderBytes, partsBytes, type ItemParts } from './frame.ts';
import { lanes, pieceCost, type Lane } from './lanes.ts';

/** Not worth a piece of its own, unless it is the last one. */
const smallestPieceBytes = 4_096;

export interface Sending {
  /** An encoded Item. */
  readonly bytes: Uint8Array;
  readonly orderKey?: string;
  /** Called when the last of it has gone into a frame. */
  readonly onSent?: () => void;
}

interface Waiting extends Sending {
  sentBytes: number;
  withdrawn: boolean;
}

/** So many that were withdrawn may lie among those that wait. */
const withdrawnCountMax = 256;

interface LaneState {
  readonly small: Fifo<Waiting>;
  readonly large: Fifo<Waiting>;
  /** How many in `large` have the key. */
  readonly keysInLarge: Map<string, number>;
  windowLeft: number;
  waitingBytes: number;
  withdrawnCount: number;
}

export interface Ticket {
  /** Takes it back; false when some of it has gone already. */
  withdraw(): boolean;
}

export class SendQueue {
  readonly #version: number;
  readonly #control = new Fifo<Uint8Array>();
  readonly #lanes: Readonly<Record<Lane, LaneState>>;
  readonly #windowBytes: number;
  #turn = 0;

  constructor(version: number, windowBytes: number = limits.wireWindowBytes) {
    this.#version = version;
    this.#windowBytes = windowBytes;
    const state = (): LaneState => ({ small: new Fifo(), large: new Fifo(), keysInLarge: new Map(), windowLeft: windowBytes, waitingBytes: 0, withdrawnCount: 0 });
    this.#lanes = { messages: state(), requests: state(), answers: state() };
  }

  pushControl(item: Uint8Array): void {
    this.#control.push(item);
  }

  push(lane: Lane, sending: Sending): Ticket {
    const state = this.#lanes[lane];
    const waiting: Waiting = { ...sending, sentBytes: 0, withdrawn: false };
    const { orderKey } = sending;
    const isBehind = orderKey !== undefined && state.keysInLarge.has(orderKey);
    if (sending.bytes.length > limits.wirePieceBytesMax || isBehind) {
      state.large.push(waiting);
      if (orderKey !== undefined) state.keysInLarge.set(orderKey, (state.keysInLarge.get(orderKey) ?? 0) + 1);
    } else {
      state.small.push(waiting);
    }
    state.waitingBytes += waiting.bytes.length;
    return {
      withdraw: () => {
        if (waiting.withdrawn || waiting.sentBytes > 0) return false;
        waiting.withdrawn = true;
        state.waitingBytes -= waiting.bytes.length;
        forget(state);
        return true;
      },
    };
  }

  /** The other side has taken in as much of the lane. */
  credit(lane: Lane, bytes: number): void {
    const state = this.#lanes[lane];
    state.windowLeft = Math.min(this.#windowBytes, state.windowLeft + bytes);
  }

  /** Whether anything waits, be it that it may not go yet. */
  get hasItems(): boolean {
    return this.#control.length > 0 || lanes.some((lane) => this.#lanes[lane].waitingBytes > 0);
  }

  waitingBytes(lane: Lane): number {
    return this.#lanes[lane].waitingBytes;
  }

  /** Sent, and not yet taken in by the other side. */
  unacknowledgedBytes(lane: Lane): number {
    return this.#windowBytes - this.#lanes[lane].windowLeft;
  }

  /** The next frame; undefined when nothing waits, or nothing may go. */
  nextFrame(): Uint8Array | undefined {
    const frame = new FrameBuilder();
    for (let item = this.#control.peek(); item !== undefined && frame.fits(item.length); item = this.#control.peek()) {
      frame.add([item]);
      this.#control.shift();
    }
    // A frame ends where a whole round of lanes has added nothing.
    for (let idle = 0; idle < lanes.length; ) {
      const lane = lanes[this.#turn % lanes.length]!;
      this.#turn++;
      idle = this.#takeTurn(lane, frame) ? 0 : idle + 1;
    }
    if (frame.items.length === 0) return undefined;
    const bytes = encodeFrame(this.#version, frame.items);
    for (const sent of frame.completed) sent.onSent?.();
    return bytes;
  }

  #takeTurn(lane: Lane, frame: FrameBuilder): boolean {
    const state = this.#lanes[lane];
    const small = takeSmall(state, frame);
    const large = takeLarge(lane, state, frame);
    return small || large;
  }
}

class FrameBuilder {
  readonly items: ItemParts[] = [];
  readonly completed: Waiting[] = [];
  #roomBytes = limits.wireFrameBytesTarget - frameHeaderBytes;

  fits(itemBytes: number): boolean {
    return this.items.length < limits.wireFrameItemCountMax && this.#roomBytes >= itemHeaderBytes + itemBytes;
  }

  get roomForPieceBytes(): number {
    return this.items.length < limits.wireFrameItemCountMax ? this.#roomBytes - itemHeaderBytes - fragmentHeaderBytes : 0;
  }

  add(item: ItemParts): void {
    this.items.push(item);
    this.#roomBytes -= itemHeaderBytes + partsBytes(item);
  }
}

/** Moves whole items into the frame, about a piece's worth. */
function takeSmall(state: LaneState, frame: FrameBuilder): boolean {
  let takenBytes = 0;
  for (let head = firstOf(state.small); head !== undefined; head = firstOf(state.small)) {
    if (takenBytes > 0 && takenBytes + head.bytes.length > limits.wirePieceBytesMax) break;
    if (!sendWhole(state, head, frame)) break;
    state.small.shift();
    takenBytes += pieceCost(head.bytes.length);
  }
  return takenBytes > 0;
}

/** Moves one piece of the large item into the frame, or the small ones that wait behind it. */
function takeLarge(lane: Lane, state: LaneState, frame: FrameBuilder): boolean {
  const head = firstOf(state.large);
  if (head === undefined) return false;
  if (head.bytes.length <= limits.wirePieceBytesMax) {
    if (!sendWhole(state, head, frame)) return false;
    leaveLarge(state, head);
    return true;
  }
  const restBytes = head.bytes.length - head.sentBytes;
  const sizeBytes = Math.min(restBytes, limits.wirePieceBytesMax, frame.roomForPieceBytes, state.windowLeft - pieceCost(0));
  if (sizeBytes < Math.min(restBytes, smallestPieceBytes)) return false;
  const last = sizeBytes === restBytes;
  frame.add(encodeFragment(lane, head.bytes.subarray(head.sentBytes, head.sentBytes + sizeBytes), last));
  head.sentBytes += sizeBytes;
  state.windowLeft -= pieceCost(sizeBytes);
  state.waitingBytes -= sizeBytes;
  if (last) {
    frame.completed.push(head);
    leaveLarge(state, head);
  }
  return true;
}

function sendWhole(state: LaneState, item: Waiting, frame: FrameBuilder): boolean {
  const cost = pieceCost(item.bytes.length);
  if (state.windowLeft < cost || !frame.fits(item.bytes.length)) return false;
  frame.add([item.bytes]);
  item.sentBytes = item.bytes.length;
  state.windowLeft -= cost;
  state.waitingBytes -= item.bytes.length;
  frame.completed.push(item);
  return true;
}

/** Now and then withdrawn items are taken out of the queues, which may stand still for long. */
function forget(state: LaneState): void {
  state.withdrawnCount++;
  if (state.withdrawnCount <= withdrawnCountMax) return;
  state.withdrawnCount = 0;
  state.small.retain(({ withdrawn }) => !withdrawn);
  state.large.retain(({ withdrawn }) => !withdrawn);
}

/** The head, past those that were withdrawn. */
function firstOf(fifo: Fifo<Waiting>): Waiting | undefined {
  for (;;) {
    const head = fifo.peek();
    if (head === undefined || !head.withdrawn) return head;
    fifo.shift();
  }
}

function leaveLarge(state: LaneState, item: Waiting): void {
  state.large.shift();
  const { orderKey } = item;
  if (orderKey === undefined) return;
  const others = state.keysInLarge.get(orderKey)! - 1;
  if (others === 0) state.keysInLarge.delete(orderKey);
  else state.keysInLarge.set(orderKey, others);
}
