/** The tree of all commands: what `--help` and shell completion know. */

import { Command, Option } from 'commander';
import { indexDefaults, quantizations } from '../../domain/collection.ts';
import { metrics } from '../../domain/metric.ts';
import { limits } from '../../kernel/limits.ts';
import { exitCodeHelp } from '../exit-codes.ts';
import { formatNames } from '../formats/point-file.ts';
import { choice, command, filterOption, group, integer, number, repeated, vectorsOption, type ProgramParts } from './declare.ts';

export function buildProgram(parts: ProgramParts): Command {
  const program = new Command('shoal')
    .description('A vector database: the server, and the commands that use one.')
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', `\n${exitCodeHelp}`);
  for (const option of globalOptions()) program.addOption(option);
  program.addCommand(new Command('standalone').description('run the server as one process; see: shoal standalone --help').helpOption(false).allowUnknownOption());
  for (const made of [collectionCommands, pointCommands, dataCommands, keyCommands, serverCommands]) for (const child of made(parts)) program.addCommand(child);
  program.addCommand(completionCommand(parts, program));
  inheritHelp(program);
  return program;
}

function inheritHelp(parent: Command): void {
  for (const child of parent.commands) {
    child.copyInheritedSettings(parent);
    inheritHelp(child);
  }
}

function globalOptions(): Option[] {
  return [
    new Option('--address <host:port>', 'gRPC address of the server').default('127.0.0.1:50051').env('SHOAL_ADDRESS'),
    new Option('--api-key <key>', 'API key (other users of this machine can see it: rather use SHOAL_API_KEY or --api-key-file)'),
    new Option('--api-key-file <file>', 'file that holds the API key'),
    new Option('--tls', 'connect by TLS'),
    new Option('--ca <file>', 'PEM file of the authority that signed the server\'s certificate; implies --tls'),
    new Option('--insecure-skip-verify', 'TLS without checking who answers; implies --tls'),
    number('--timeout <seconds>', 'how long to wait for each answer (default: 30; 600 for backup and verify)'),
    choice('--output <format>', 'how results are printed', ['table', 'json'], 'table'),
    new Option('--quiet', 'no tables, notes or progress'),
  ];
}

function collectionCommands(parts: ProgramParts): Command[] {
  const load = () => import('../actions/collection.ts');
  const payloadIndex = (): Option => repeated('--payload-index <field:type>', 'index a payload field for filters: keyword, integer, float, bool or datetime (repeatable)');
  const efSearch = (): Option => integer('--ef-search <n>', `breadth of a search that names none (default: ${indexDefaults.efSearch})`, { min: 1, max: limits.efSearchMax });
  return [
    group('collection', 'create, list, show, change and delete collections', [
      command(parts, 'create <name>', 'create a collection', ['shoal collection create docs --dimension 384', 'shoal collection create docs --dimension 3 --metric dot --payload-index year:integer'], async () => (await load()).createCollection)
        .argument('<name>', 'name of the collection')
        .addOption(integer('--dimension <n>', 'length of the vectors', { min: 1, max: limits.dimensionMax }).makeOptionMandatory())
        .addOption(choice('--metric <metric>', 'how vectors are compared (default: cosine)', metrics))
        .addOption(integer('--shards <n>', 'number of shards (default: 1)', { min: 1, max: limits.shardCountMax }))
        .addOption(integer('--replicas <n>', 'copies of each shard (default: 1)', { min: 1, max: 9 }))
        .addOption(integer('--min-in-sync <n>', 'copies that must have a write before it is acknowledged (default: 1)', { min: 1, max: 9 }))
        .addOption(choice('--index <type>', 'kind of index (default: hnsw)', ['hnsw', 'flat']))
        .addOption(integer('--m <n>', `links of each point in the graph (default: ${indexDefaults.m})`, { min: 2, max: 128 }))
        .addOption(integer('--ef-construction <n>', `breadth while building the graph (default: ${indexDefaults.efConstruction})`, { min: 4, max: 4_096 }))
        .addOption(efSearch())
        .addOption(choice('--quantization <form>', `how the graph keeps vectors: int8 takes less memory (default: ${indexDefaults.quantization})`, quantizations))
        .addOption(payloadIndex()),
      command(parts, 'list', 'list the collections', ['shoal collection list', 'shoal collection list --output json'], async () => (await load()).listCollections),
      command(parts, 'get <name>', 'show a collection and its shards', ['shoal collection get docs'], async () => (await load()).getCollection).argument('<name>', 'name of the collection'),
      command(parts, 'update <name>', 'change a collection', ['shoal collection update docs --ef-search 400', 'shoal collection update docs --payload-index year:integer --payload-index tag:keyword', 'shoal collection update docs --replicas 3 --min-in-sync 2'], async () => (await load()).updateCollection)
        .argument('<name>', 'name of the collection')
        .addOption(efSearch())
        .addOption(payloadIndex())
        .addOption(new Option('--no-payload-indexes', 'remove all payload indexes'))
        .addOption(integer('--replicas <n>', 'copies of each shard', { min: 1, max: 9 }))
        .addOption(integer('--min-in-sync <n>', 'copies that must have a write before it is acknowledged', { min: 1, max: 9 })),
      command(parts, 'delete <name>', 'delete a collection and all its points', ['shoal collection delete docs'], async () => (await load()).deleteCollection).argument('<name>', 'name of the collection'),
    ]),
  ];
}

function pointCommands(parts: ProgramParts): Command[] {
  const load = () => import('../actions/points.ts');
  const loadSearch = async () => (await import('../actions/search.ts')).search;
  return [
    group('points', 'write, read and delete points', [
      command(parts, 'upsert <collection>', 'write one point, or JSON Lines from a file or standard input', [
        `shoal points upsert docs --id a --vector '[0.1, 0.2, 0.3]' --payload '{"year": 2024}'`,
        'shoal points upsert docs --file points.jsonl',
        `echo '{"id": "b", "vector": [1, 2, 3], "payload": {"tag": "new"}}' | shoal points upsert docs`,
      ], async () => (await load()).upsertPoints)
        .argument('<collection>', 'name of the collection')
        .option('--id <id>', 'write this one point')
        .option('--vector <numbers>', 'its vector: a JSON array or numbers between commas; @FILE reads it from a file')
        .option('--payload <json>', 'its payload, a JSON object; @FILE reads it from a file')
        .option('--text <text>', 'its text')
        .option('--if-absent', 'only if there is no such point')
        .addOption(integer('--if-version <n>', 'only if the point is at this version', { min: 1, max: Number.MAX_SAFE_INTEGER }))
        .option('--file <file>', 'JSON Lines, one point a line; - is standard input, the default without --id'),
      command(parts, 'get <collection> <ids...>', 'show points by their ids', ['shoal points get docs a b', 'shoal points get docs a --include-vectors --output json'], async () => (await load()).getPoints)
        .argument('<collection>', 'name of the collection')
        .argument('<ids...>', 'ids of points')
        .addOption(vectorsOption()),
      command(parts, 'delete <collection> [ids...]', 'delete points by their ids or by a filter', ['shoal points delete docs a b', `shoal points delete docs --filter '{"field": "year", "lt": 2000}'`], async () => (await load()).deletePoints)
        .argument('<collection>', 'name of the collection')
        .argument('[ids...]', 'ids of points')
        .addOption(filterOption()),
      command(parts, 'scroll <collection>', 'show points page by page', ['shoal points scroll docs --limit 20', `shoal points scroll docs --filter '{"field": "tag", "equals": "new"}' --output json`], async () => (await load()).scrollPoints)
        .argument('<collection>', 'name of the collection')
        .addOption(filterOption())
        .addOption(integer('--limit <n>', 'points a page (default: 100)', { min: 1, max: limits.scrollLimitMax }))
        .option('--cursor <cursor>', 'where to go on, from the page before')
        .addOption(vectorsOption()),
      command(parts, 'count <collection>', 'count points', ['shoal points count docs', `shoal points count docs --filter '{"field": "year", "gte": 2020}'`], async () => (await load()).countPoints)
        .argument('<collection>', 'name of the collection')
        .addOption(filterOption()),
    ]),
    command(parts, 'search <collection>', 'find the nearest points to a vector or to a stored point', [
      `shoal search docs --vector '[0.1, 0.2, 0.3]' --top-k 5`,
      `shoal search docs --id a --filter '{"field": "year", "gte": 2020}'`,
    ], loadSearch)
      .argument('<collection>', 'name of the collection')
      .option('--vector <numbers>', 'a JSON array or numbers between commas; @FILE reads it from a file')
      .option('--id <id>', 'the vector of this point, which is left out of the results')
      .addOption(filterOption())
      .addOption(integer('--top-k <n>', 'number of results', { min: 1, max: limits.topKMax, default: 10 }))
      .addOption(integer('--ef <n>', 'breadth of the search: more finds more, slower', { min: 1, max: limits.efSearchMax }))
      .option('--exact', 'compare with every point')
      .addOption(number('--score-threshold <score>', 'leave out results with a lower score'))
      .addOption(vectorsOption())
      .option('--count-visited', 'have the shards count the points they compare'),
  ];
}

function dataCommands(parts: ProgramParts): Command[] {
  const formatOption = (): Option => choice('--format <format>', 'format of the file (default: by its ending)', formatNames);
  return [
    command(parts, 'import <file>', 'import points from a file; the same command goes on after an interruption', [
      'shoal import points.jsonl --collection docs --create',
      'shoal import words.csv --collection words --id-column word --vector-columns x0..x99',
      'shoal import sift.fvecs --collection sift --create --metric euclidean --id-prefix sift-',
      'shoal import embeddings.parquet --collection docs --vector-column embedding --skip-bad-rows 10',
    ], async () => (await import('../actions/import.ts')).importFile)
      .argument('<file>', 'file to read; - is standard input (jsonl and csv)')
      .requiredOption('--collection <name>', 'where the points go')
      .addOption(formatOption())
      .option('--create', 'create the collection if there is none, with the dimension of the file')
      .addOption(choice('--metric <metric>', 'metric of a created collection', metrics))
      .addOption(integer('--shards <n>', 'shards of a created collection', { min: 1, max: limits.shardCountMax }))
      .option('--id-column <name>', 'column or field of the ids (default: id)')
      .option('--id-prefix <text>', 'make ids of this and the number of the row, from 0')
      .option('--ids-file <file>', 'ids for fvecs, ivecs, bvecs, npy: a line for each row, an id or {"id", "payload", "text"}')
      .option('--vector-column <name>', 'column or field of the vectors (default: vector)')
      .option('--vector-columns <first..last>', 'columns that hold a component each')
      .option('--payload-column <name>', 'column or field of the payloads, JSON objects (default: payload); other columns are payload too')
      .option('--text-column <name>', 'column or field of the texts (default: text)')
      .option('--column-types <name=type,...>', 'types of CSV columns that are not to be guessed: string, integer, float, bool, json')
      .option('--delimiter <character>', 'between the cells of CSV (default: ,)')
      .option('--quote <character>', 'around cells of CSV; empty: none (default: ")')
      .option('--no-header', 'the first line of CSV is data; the columns are c1, c2, …')
      .addOption(integer('--batch-size <n>', 'points a request; it is also cut at 4 MiB', { min: 1, max: limits.batchPointCountMax, default: limits.importBatchPointCountDefault }))
      .addOption(integer('--concurrency <n>', 'requests under way; so many may be sent again after a crash', { min: 1, max: limits.importSlotCountMax, default: 1 }))
      .addOption(integer('--retry-for <seconds>', 'how long a request is tried again while that can help', { min: 0, max: 86_400, default: limits.importRetryMsDefault / 1_000 }))
      .addOption(integer('--skip-bad-rows <n>', 'leave out up to so many bad rows, and report them', { min: 0, max: Number.MAX_SAFE_INTEGER, default: 0 }))
      .addOption(choice('--resume <when>', 'go on from the progress file: if it fits, or else fail, or not at all', ['auto', 'always', 'never'], 'auto'))
      .option('--progress-file <file>', 'what is acknowledged so far (default: <file>.shoal-import.json)'),
    command(parts, 'export <file>', 'export points to a file, which appears when it is complete', [
      'shoal export docs.jsonl --collection docs',
      `shoal export recent.parquet --collection docs --filter '{"field": "year", "gte": 2020}'`,
      'shoal export vectors.npy --collection docs --ids-file ids.jsonl',
    ], async () => (await import('../actions/export.ts')).exportFile)
      .argument('<file>', 'file to write')
      .requiredOption('--collection <name>', 'where the points come from')
      .addOption(formatOption())
      .addOption(filterOption())
      .option('--ids-file <file>', 'write ids and payloads here too, one JSON object a line, for formats that hold vectors alone')
      .option('--force', 'overwrite a file that exists'),
  ];
}

function keyCommands(parts: ProgramParts): Command[] {
  const load = () => import('../actions/key.ts');
  return [
    group('key', 'create, list and delete API keys', [
      command(parts, 'create <name>', 'create an API key and show its secret, this once', ['shoal key create reader --action read --collection docs', 'shoal key create admin --action read --action write --action admin --all-collections --expires-in 30d'], async () => (await load()).createKey)
        .argument('<name>', 'a name to know it by')
        .addOption(repeated('--action <action>', 'what it allows: read, write, admin (repeatable)').makeOptionMandatory())
        .addOption(repeated('--collection <name>', 'where it allows it (repeatable)'))
        .option('--all-collections', 'it allows it everywhere')
        .option('--expires-in <duration>', 'when it ends, such as 12h or 30d (default: never)'),
      command(parts, 'list', 'list the API keys, without their secrets', ['shoal key list'], async () => (await load()).listKeys),
      command(parts, 'delete <prefix>', 'delete an API key', ['shoal key delete shoal_ab12cd34'], async () => (await load()).deleteKey).argument('<prefix>', 'prefix of the key, as shown by: shoal key list'),
    ]),
    group('feedback', 'read what people thought of search results', [
      command(parts, 'list <collection>', 'list feedback, oldest first', ['shoal feedback list docs --output json'], async () => (await import('../actions/server.ts')).listFeedback)
        .argument('<collection>', 'name of the collection')
        .addOption(integer('--limit <n>', 'entries a page (default: 100)', { min: 1, max: limits.scrollLimitMax }))
        .option('--cursor <cursor>', 'where to go on, from the page before'),
    ]),
  ];
}

function serverCommands(parts: ProgramParts): Command[] {
  const load = () => import('../actions/server.ts');
  return [
    command(parts, 'status', 'show the state of the server', ['shoal status', 'shoal status --output json'], async () => (await load()).showStatus),
    command(parts, 'backup', 'have the server copy its data, while it serves', ['shoal backup --to /var/backups/shoal-monday'], async () => (await load()).backUp)
      .requiredOption('--to <directory>', 'directory on the server, which must not exist yet'),
    command<{ from: string; dataDir: string }>(parts, 'restore', 'copy a backup into an empty data directory; no server may use it', ['shoal restore --from /var/backups/shoal-monday --data-dir ./data'], async () => {
      const { restore } = await load();
      return (context, _, options) => restore(context, options, parts.offlineTools);
    })
      .requiredOption('--from <directory>', 'directory of the backup')
      .requiredOption('--data-dir <directory>', 'data directory to fill, empty or absent'),
    command<{ dataDir?: string }>(parts, 'verify', 'check everything stored: by the server while it serves, or in a data directory without one', ['shoal verify', 'shoal verify --data-dir ./data'], async () => {
      const { verify } = await load();
      return (context, _, options) => verify(context, options, parts.offlineTools);
    }).option('--data-dir <directory>', 'data directory that no server uses'),
  ];
}

function completionCommand(parts: ProgramParts, program: Command): Command {
  return command(parts, 'completion <shell>', 'print a script that completes commands and options', ['source <(shoal completion bash)', 'shoal completion zsh > ~/.zfunc/_shoal', 'shoal completion fish > ~/.config/fish/completions/shoal.fish'], async () => {
    const { completionScript } = await import('../actions/completion.ts');
    return (context, [shell]) => {
      context.terminal.stdout.write(completionScript(program, shell as 'bash' | 'zsh' | 'fish'));
      return Promise.resolve();
    };
  }).addArgument(new Command().createArgument('<shell>', 'bash, zsh or fish').choices(['bash', 'zsh', 'fish']));
}
