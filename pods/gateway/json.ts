/**
 * JSON from strangers. `JSON.parse` alone takes the last of two equal keys, any depth, and `__proto__` as a key; each of
 * these means something else to the next reader, so they are refused. One pass over the text, about as long as the parse.
 */

import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';

/** Throws MALFORMED_BODY, with the place where the parser knows it. */
export function parseJson(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw malformed('the body is not valid UTF-8');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const place = /position (\d+)/.exec((error as Error).message)?.[1];
    throw malformed(`the body is not valid JSON${place === undefined ? '' : `, at position ${place}`}`);
  }
  checkStructure(text);
  return value;
}

const quote = 0x22;
const backslash = 0x5c;
const colon = 0x3a;
/** A run of numbers, which is most of the text of a vector. */
const numbers = /[-+.eE0-9, ]+/y;

/** `text` is valid JSON: only nesting and keys are left to look at. */
function checkStructure(text: string): void {
  const open: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x7b: // {
        open.push(new Set());
        break;
      case 0x5b: // [
        numbers.lastIndex = at + 1;
        if (numbers.test(text)) at = numbers.lastIndex - 1;
        open.push(undefined);
        break;
      case 0x7d: // }
      case 0x5d: // ]
        open.pop();
        continue;
      case quote: {
        const end = endOfString(text, at);
        const keys = open.at(-1);
        if (keys !== undefined && isKey(text, end)) addKey(keys, text, at, end);
        at = end;
        continue;
      }
      default:
        continue;
    }
    if (open.length > limits.jsonDepthMax) throw malformed(`the body is nested more than ${limits.jsonDepthMax} levels deep`);
  }
}

function endOfString(text: string, start: number): number {
  let end = start;
  do {
    end = text.indexOf('"', end + 1);
  } while (isEscaped(text, end));
  return end;
}

function isEscaped(text: string, at: number): boolean {
  let before = at;
  while (text.charCodeAt(before - 1) === backslash) before--;
  return (at - before) % 2 === 1;
}

function isKey(text: string, end: number): boolean {
  let at = end + 1;
  while (text.charCodeAt(at) <= 0x20) at++;
  return text.charCodeAt(at) === colon;
}

function addKey(keys: Set<string>, text: string, start: number, end: number): void {
  const raw = text.slice(start + 1, end);
  const key = raw.includes('\\') ? (JSON.parse(text.slice(start, end + 1)) as string) : raw;
  if (key === '__proto__') throw malformed('the body has a key "__proto__", which is not allowed');
  if (keys.size === keys.add(key).size) throw malformed(`the body has the key "${key.slice(0, 64)}" twice in one object`);
}

function malformed(message: string): ShoalError {
  return new ShoalError('MALFORMED_BODY', message);
}
