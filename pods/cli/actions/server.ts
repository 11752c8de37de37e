/** shoal status | backup | restore | verify | feedback list */

import { ClusterServiceService as cluster } from '../../../proto/gen/shoal/v1/cluster.ts';
import { FeedbackServiceService as feedback } from '../../../proto/gen/shoal/v1/feedback.ts';
import { ShoalError } from '../../kernel/errors.ts';
import { limits } from '../../kernel/limits.ts';
import { withConnection } from '../connection.ts';
import { byteText, printResult, timeText } from '../output.ts';
import { plain } from '../plain.ts';
import type { OfflineTools } from '../offline-tools.ts';
import type { CommandContext } from '../terminal.ts';

export async function showStatus(context: CommandContext): Promise<void> {
  const status = await withConnection(context, (connection) => connection.call(cluster.getStatus, {}));
  printResult(context, plain(status), () => ({
    columns: ['POD', 'READY', 'WRITABLE', 'SHARDS', 'POINTS', 'MEMORY', 'LOG', 'DISK USED', 'DATA DIRECTORY'],
    rows: status.pods.map((pod) => [
      pod.name, pod.ready ? 'yes' : `no: ${pod.because ?? ''}`, known(pod.writable, (writable) => (writable ? 'yes' : 'no')), Number(pod.shardCount), known(pod.pointCount, String), known(pod.memoryBytes, (bytes) => byteText(Number(bytes))),
      known(pod.logBytes, (bytes) => `${byteText(Number(bytes))} in ${pod.logSegmentCount ?? 0n}`), known(pod.diskUsedFraction, (fraction) => `${(fraction * 100).toFixed(1)} %`), pod.dataDirectory ?? '',
    ]),
    footer: `\nshoal ${status.version}, ${status.mode}, since ${timeText(Number(status.startedAtMs))}`,
  }));
}

/** A gateway does not know every figure of data pods. */
function known<Value>(value: Value | undefined, print: (value: Value) => string): string {
  return value === undefined ? '' : print(value);
}

export async function backUp(context: CommandContext, _: readonly string[], options: { to: string }): Promise<void> {
  const answer = await withConnection(context, (connection) => connection.call(cluster.backup, { directory: options.to }, { timeoutMs: limits.requestTimeoutMsMax }));
  printResult(context, plain(answer), () => `${answer.pointCount} points of ${answer.shardCount} shards, ${byteText(Number(answer.sizeBytes))}, in ${answer.directory} on the server`);
}

export async function restore(context: CommandContext, options: { from: string; dataDir: string }, tools: OfflineTools): Promise<void> {
  const answer = await tools.restoreBackup({ from: options.from, to: options.dataDir });
  printResult(context, answer ?? { restored: options.dataDir }, () => `restored ${options.from} to ${options.dataDir}; start it: shoal standalone --data-dir ${options.dataDir}`);
}

export async function verify(context: CommandContext, options: { dataDir?: string }, tools: OfflineTools): Promise<void> {
  const answer =
    options.dataDir === undefined
      ? (plain(await withConnection(context, (connection) => connection.call(cluster.verify, {}, { timeoutMs: limits.requestTimeoutMsMax }))) as VerifyAnswer)
      : await tools.verifyDirectory({ dataDirectory: options.dataDir });
  const { checked } = answer;
  printResult(context, answer, () =>
    [
      `checked ${checked.logRecords} log records (${byteText(checked.logBytes)}) and ${checked.storeEntries} stored entries (${byteText(checked.storeBytes)})`,
      ...(answer.ok ? ['no faults'] : answer.faults.map((fault) => `fault: ${fault}`)),
    ].join('\n'),
  );
  if (!answer.ok) throw new ShoalError('CORRUPTION', `${answer.faults.length} faults found`);
}

type VerifyAnswer = Awaited<ReturnType<OfflineTools['verifyDirectory']>>;

export async function listFeedback(context: CommandContext, [collection]: readonly string[], options: { limit?: number; cursor?: string }): Promise<void> {
  const answer = await withConnection(context, (connection) => connection.call(feedback.listFeedback, { collection: collection!, cursor: options.cursor ?? '', limit: options.limit }));
  printResult(context, plain(answer), () => ({
    columns: ['ID', 'TIME', 'BY', 'QUERY', 'RESULTS', 'SCORES', 'COMMENTS'],
    rows: answer.feedback.map((given) => [
      given.id, timeText(Number(given.createdAtMs)), given.subject, given.query, given.resultIds.length,
      given.items.map((item) => `${item.resultId}=${item.relevanceScore}${item.clicked ? ' (clicked)' : ''}`).join(', '),
      given.items.map((item) => item.comment).filter((comment) => comment !== '').join('; '),
    ]),
    ...(answer.nextCursor === undefined ? {} : { footer: `\nmore: --cursor ${answer.nextCursor}` }),
  }));
}
