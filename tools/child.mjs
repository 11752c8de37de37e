// Runs a program in our place: same terminal, same signals, same end.

import { spawn } from 'node:child_process';

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * Runs to the end and returns the exit code. Signals to us go on to the program; but Ctrl-C at a terminal reaches the whole
 * foreground group, so the program has it already, and a second one would read as "now, at once".
 */
export function runInPlace(command, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', ...options });
    const atTerminal = process.stdin.isTTY === true || process.stderr.isTTY === true;
    const forward = (signal) => {
      if (signal === 'SIGINT' && atTerminal) return;
      child.kill(signal);
    };
    for (const signal of forwarded) process.on(signal, forward);
    const stop = () => {
      for (const signal of forwarded) process.removeListener(signal, forward);
    };
    child.once('error', (error) => {
      stop();
      reject(error);
    });
    child.once('close', (code, signal) => {
      stop();
      if (signal !== null) process.kill(process.pid, signal);
      resolve(code ?? 1);
    });
  });
}
