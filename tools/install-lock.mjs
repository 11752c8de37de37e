// One installer at a time: a directory in the checkout, since making a directory either succeeds for one process or fails.
// It lies outside node_modules, which `npm ci` deletes.
//
//   .install-lock/owner.json   {token, pid, host}; its modification time is the owner's heartbeat
//   .install-lock/break-TOKEN  the right to remove this very lock, after its owner died
//
// A lock is abandoned when its process is gone, or (another host, or a pid used again) when its heartbeat stood still for
// as many looks as take that long. Looks count, not the time: while the machine sleeps nobody's heart beats.

import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const defaults = { heartbeatMs: 2_000, abandonedAfterMs: 30_000, pollMs: 250 };

/** Runs `work` while no other process of this checkout does. */
export async function withInstallLock(root, report, work, times = {}) {
  const { heartbeatMs, abandonedAfterMs, pollMs } = { ...defaults, ...times };
  const directory = join(root, '.install-lock');
  let watched;
  while (!take(directory)) {
    const seen = look(directory);
    if (watched === undefined) report('another command is installing; waiting for it');
    if (watched?.state !== seen.state) watched = { state: seen.state, looks: 0 };
    if (seen.ownerIsGone || watched.looks++ * pollMs > abandonedAfterMs) breakLock(directory, seen.token);
    await sleep(pollMs);
  }
  const heartbeat = setInterval(() => touch(join(directory, 'owner.json')), heartbeatMs);
  const release = () => rmSync(directory, { recursive: true, force: true });
  process.once('exit', release);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    process.removeListener('exit', release);
    release();
  }
}

function take(directory) {
  try {
    mkdirSync(directory);
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
  writeFileSync(join(directory, 'owner.json'), JSON.stringify({ token: randomUUID(), pid: process.pid, host: hostname() }));
  return true;
}

function look(directory) {
  try {
    const path = join(directory, 'owner.json');
    const { token, pid, host } = JSON.parse(readFileSync(path, 'utf8'));
    return { token, state: `${token} ${statSync(path).mtimeMs}`, ownerIsGone: host === hostname() && !isAlive(pid) };
  } catch {
    return { token: undefined, state: 'no owner yet', ownerIsGone: false };
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Removes the lock of a dead owner, and only that one: another process may have replaced it since we looked. */
export function breakLock(directory, token) {
  try {
    mkdirSync(join(directory, `break-${token}`));
    if (look(directory).token !== token) {
      rmSync(join(directory, `break-${token}`), { recursive: true, force: true });
      return;
    }
    const grave = `${directory}-${randomUUID()}`;
    renameSync(directory, grave);
    rmSync(grave, { recursive: true, force: true });
  } catch (error) {
    if (error.code !== 'EEXIST' && error.code !== 'ENOENT') throw error; // Another process is at it, or was.
  }
}

function touch(path) {
  const now = new Date();
  try {
    utimesSync(path, now, now);
  } catch {
    // Broken by a process that took us for dead: the install itself goes on, and npm's result is checked afterwards.
  }
}
