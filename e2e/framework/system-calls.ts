/**
 * Reads what strace wrote of a process with many threads into system calls with a total order.
 *
 * No clock is used: strace prints a call on one line only when nothing else happened between its begin and its end;
 * otherwise the line at its begin says `<unfinished ...>` and the one at its end `<... name resumed>`. So line numbers
 * order all begins and ends.
 */

import { readFile } from 'node:fs/promises';

export interface SystemCall {
  readonly name: string;
  /** Of the file or socket that the first argument names. */
  readonly path: string;
  /** The arguments as strace prints them. */
  readonly arguments: string;
  readonly result: number;
  /** Line numbers. `end` is infinite for a call that was cut off. */
  readonly begin: number;
  readonly end: number;
}

/** The flags that make strace write what `readSystemCalls` reads. */
export function straceFlags(output: string, names: readonly string[], stringBytesMax: number): string[] {
  return ['--follow-forks', '--seccomp-bpf', '--decode-fds=path', '--quiet=all', `--string-limit=${stringBytesMax}`, `--trace=${names.join(',')}`, `--output=${output}`];
}

export async function readSystemCalls(file: string): Promise<SystemCall[]> {
  return parseSystemCalls(await readFile(file, 'latin1'));
}

export function parseSystemCalls(trace: string): SystemCall[] {
  const calls: { name: string; text: string; result: number; begin: number; end: number }[] = [];
  /** The call that each thread is in. */
  const open = new Map<string, (typeof calls)[number]>();
  for (const [number, line] of trace.split('\n').entries()) {
    const thread = /^(\d+) +/.exec(line);
    if (thread === null) continue;
    const rest = line.slice(thread[0].length);
    const resumed = /^<\.\.\. (\w+) resumed>/.exec(rest);
    const name = /^(\w+)\(/.exec(rest)?.[1];
    if (resumed !== null) {
      const call = open.get(thread[1]!);
      open.delete(thread[1]!);
      if (call === undefined || call.name !== resumed[1]) throw new Error(`line ${number + 1} resumes a call that was not begun: ${line.slice(0, 200)}`);
      Object.assign(call, { text: call.text + rest.slice(resumed[0].length), result: resultOf(rest), end: number });
    } else if (name !== undefined) {
      const unfinished = rest.endsWith('<unfinished ...>');
      const text = rest.slice(name.length + 1, unfinished ? -' <unfinished ...>'.length : undefined);
      const call = { name, text, result: unfinished ? NaN : resultOf(rest), begin: number, end: unfinished ? Infinity : number };
      calls.push(call);
      if (unfinished) open.set(thread[1]!, call);
    } else if (!/^(\+\+\+|---|\?)/.test(rest)) {
      throw new Error(`line ${number + 1} is none that strace is known to write: ${line.slice(0, 200)}`);
    }
  }
  return calls.map(({ text: argumentText, ...call }) => ({ ...call, arguments: argumentText, path: /^\d+<([^>]*)>/.exec(argumentText)?.[1] ?? '' }));
}

/** NaN for `?`, which a call that never returned has. */
function resultOf(text: string): number {
  const result = /\) += (-?\d+)[^)=]*(\([^)]*\))?$/.exec(text)?.[1];
  return result === undefined ? NaN : Number(result);
}
