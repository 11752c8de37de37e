/** How a primary asks other pods what they have, which makes its term durable there (rule P2). Pure. */

import type { MemberId, Message } from './messages.ts';
import { progressOf, withProgress, withRole, type LeadingState } from './primary-role.ts';
import type { Progress } from './roles.ts';
import { message, nothing, type CoreOutput } from './state.ts';

/** Those whom the authority names and who are not known yet; the others are forgotten. */
export function askNewcomers(state: LeadingState): CoreOutput {
  const { authority, others } = state.role;
  const pods = new Set([...authority.inSync.map((member) => member.pod), ...authority.replicas]);
  pods.delete(state.self.pod);
  const kept = others.filter((other) => pods.has(other.pod));
  const fresh = [...pods].filter((pod) => !kept.some((other) => other.pod === pod));
  let next = withRole(state, { others: [...kept, ...fresh.map(newcomer)] });
  const send: Message[] = [];
  for (const pod of fresh) {
    const asked = ask(next, progressOf(next.role, pod)!);
    next = asked.state as LeadingState;
    send.push(...(asked.send ?? []));
  }
  return { state: next, send, because: `asks ${fresh.join(', ') || 'nobody'}` };
}

function newcomer(pod: string): Progress {
  return { pod, incarnation: '', session: '', phase: 'asked', fence: 0, matchedSeq: 0, durableSeq: 0, joinsAboveSeq: -1, checkedRound: 0 };
}

/** A fence with a number of its own, so that only an answer to it, or to a later one, says who is there now. */
export function ask(state: LeadingState, progress: Progress): CoreOutput {
  const unanswered = progress.phase === 'asked' && progress.fence > 0;
  const fence = unanswered ? progress.fence : state.role.lastFence + 1;
  const next = withProgress(withRole(state, { lastFence: Math.max(fence, state.role.lastFence) }), progress.pod, { fence, phase: 'asked' });
  const to = { pod: progress.pod, incarnation: '', session: '' };
  const body = { kind: 'fence', number: fence, configVersion: state.role.authority.configVersion } as const;
  return { state: next, send: [message(next, to, body)], because: `P2: asks ${progress.pod}` };
}

export function onAskAgain(state: LeadingState, pod: string): CoreOutput {
  const progress = progressOf(state.role, pod);
  return progress === undefined ? nothing(state, 'unknown') : ask(state, progress);
}

export function onNeedsSnapshot(state: LeadingState, member: MemberId): CoreOutput {
  const progress = progressOf(state.role, member.pod);
  if (progress?.incarnation !== member.incarnation) return nothing(state, 'unknown');
  return { state: withProgress(state, member.pod, { phase: 'needs-snapshot' }), because: 'A1: the log was trimmed there' };
}
