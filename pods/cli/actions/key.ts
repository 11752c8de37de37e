/** shoal key create | list | delete */

import { KeyServiceService as service, type Key } from '../../../proto/gen/shoal/v1/key.ts';
import { durationArgument } from '../arguments.ts';
import { withConnection } from '../connection.ts';
import { UsageError } from '../exit-codes.ts';
import { note, printResult, timeText, type Listing } from '../output.ts';
import { plain } from '../plain.ts';
import type { CommandContext } from '../terminal.ts';

export interface CreateKeyOptions {
  readonly action: readonly string[];
  readonly collection?: readonly string[];
  readonly allCollections?: boolean;
  readonly expiresIn?: string;
}

export async function createKey(context: CommandContext, [name]: readonly string[], options: CreateKeyOptions): Promise<void> {
  if ((options.allCollections === true) === (options.collection !== undefined)) throw new UsageError('give either --collection or --all-collections');
  const expiresAtMs = options.expiresIn === undefined ? undefined : BigInt(context.terminal.clock.nowMs() + durationArgument(options.expiresIn, '--expires-in'));
  const answer = await withConnection(context, (connection) =>
    connection.call(service.createKey, { name: name!, actions: [...options.action], allCollections: options.allCollections ?? false, collections: [...(options.collection ?? [])], expiresAtMs }),
  );
  note(context, 'the secret is shown this once and kept nowhere');
  printResult(context, plain(answer), () => ({ ...keyTable([answer.key!]), footer: `\nsecret: ${answer.secret}` }));
}

export async function listKeys(context: CommandContext): Promise<void> {
  const { keys } = await withConnection(context, (connection) => connection.call(service.listKeys, {}));
  printResult(context, plain(keys), () => keyTable(keys));
}

export async function deleteKey(context: CommandContext, [prefix]: readonly string[]): Promise<void> {
  await withConnection(context, (connection) => connection.call(service.deleteKey, { prefix: prefix! }));
  printResult(context, { deleted: prefix }, () => `deleted key ${prefix}`);
}

function keyTable(keys: readonly Key[]): Listing {
  return {
    columns: ['PREFIX', 'NAME', 'ACTIONS', 'COLLECTIONS', 'CREATED', 'EXPIRES'],
    rows: keys.map((key) => [
      key.prefix, key.name, key.actions.join(', '), key.allCollections ? 'all' : key.collections.join(', '),
      timeText(Number(key.createdAtMs)), key.expiresAtMs === undefined ? 'never' : timeText(Number(key.expiresAtMs)),
    ]),
  };
}
