// Which folder may import which: imports point down, and only mains put concrete parts together.

/** Each folder of pods/ with the folders below it that it may import. A folder that is not here may import nothing. */
const below = {
  kernel: [],
  domain: ['kernel'],
  telemetry: ['kernel', 'domain'],
  log: ['kernel', 'domain'],
  storage: ['kernel', 'domain'],
  native: ['kernel'],
  index: ['kernel', 'domain', 'native'],
  payload: ['kernel', 'domain'],
  replication: ['kernel', 'domain', 'log'],
  kube: ['kernel'],
  wire: ['kernel', 'domain', 'telemetry', 'log', 'replication'],
  metadata: ['kernel', 'domain', 'kube'],
  control: ['kernel', 'domain', 'metadata'],
  controller: ['kernel', 'domain', 'telemetry', 'kube', 'metadata', 'control'],
  shard: ['kernel', 'domain', 'telemetry', 'log', 'storage', 'index', 'payload', 'replication'],
  service: ['kernel', 'domain', 'telemetry', 'log', 'storage', 'index', 'payload', 'replication', 'metadata', 'shard'],
  api: ['kernel', 'domain'],
  auth: ['kernel', 'domain', 'telemetry', 'api'],
  router: ['kernel', 'domain', 'telemetry', 'metadata', 'api'],
  dialects: ['kernel', 'domain', 'api', 'auth'],
  gateway: ['kernel', 'domain', 'telemetry', 'metadata', 'api', 'auth', 'router', 'dialects', 'payload'],
  cli: ['kernel', 'domain'],
};

/** Folders that speak a protocol, and so may import the code generated from it. */
const speakProtobuf = ['wire', 'router', 'service', 'dialects', 'gateway', 'cli'];

/** What is no part of the running program: tests, the suites they share, and the servers of e2e. */
const testFiles = ['\\.fixture\\.ts$', '\\.test\\.ts$', '\\.conformance\\.ts$', '^e2e/'];

/** They put the parts together, so that nothing else has to name a concrete class. */
const mains = ['^shoal\\.ts$', '^pods/[^/]+/main\\.ts$', '^pods/standalone/', '^operator/(jobs/)?main\\.ts$', '^operator/peers\\.ts$'];

const layers = Object.entries(below).map(([folder, allowed]) => {
  const reachable = [folder, ...allowed].map((name) => `^pods/${name}/`);
  if (speakProtobuf.includes(folder)) reachable.push('^proto/gen/');
  return {
    name: `${folder}-imports-down`,
    comment: `pods/${folder} may import of ours only: ${allowed.join(', ') || 'nothing'}${speakProtobuf.includes(folder) ? ', proto' : ''}.`,
    severity: 'error',
    from: { path: `^pods/${folder}/`, pathNot: [...testFiles, ...mains] },
    to: { path: '^(pods|operator|proto|e2e|shoal\\.ts)', pathNot: reachable },
  };
});

/** Packages that stop at one folder. */
const confined = [
  { packages: 'rocksdb-native', folders: ['storage'] },
  { packages: 'hnswlib-node', folders: ['index'] },
  { packages: '@kubernetes/client-node', folders: ['kube'] },
  { packages: '@grpc/[^/]+', folders: ['wire', 'service', 'router', 'dialects', 'gateway', 'cli'] },
  { packages: '(fastify|@fastify/[^/]+)', folders: ['gateway'] },
  { packages: '(commander|cli-table3|cli-progress|csv-parse|hyparquet)', folders: ['cli'] },
  { packages: '(pino|@opentelemetry/[^/]+)', folders: ['telemetry', 'kernel'] },
].map(({ packages, folders }) => ({
  name: `${packages.replaceAll(/[^a-z0-9-]+/g, '-')}-confined`,
  comment: `Only ${folders.map((folder) => `pods/${folder}`).join(', ')} may import it: a third party's binding stops at one place.`,
  severity: 'error',
  from: { path: '^(pods|operator|shoal\\.ts)', pathNot: [...folders.map((folder) => `^pods/${folder}/`), ...testFiles] },
  to: { path: `^node_modules/${packages}/` },
}));

module.exports = {
  forbidden: [
    ...layers,
    ...confined,
    {
      name: 'operator-imports-down',
      comment: 'operator/ may import of pods/ only what decides and what speaks to Kubernetes; its main puts the parts together.',
      severity: 'error',
      from: { path: '^operator/', pathNot: [...testFiles, ...mains] },
      to: { path: '^(pods|proto|e2e|shoal\\.ts)', pathNot: ['kernel', 'domain', 'telemetry', 'kube', 'metadata', 'control', 'controller'].map((name) => `^pods/${name}/`) },
    },
    {
      name: 'x509-confined',
      comment: 'Certificates are written in one file; whoever needs one asks it.',
      severity: 'error',
      from: { path: '^(pods|operator|shoal\\.ts)', pathNot: ['^operator/certificates/x509\\.ts$'] },
      to: { path: '^node_modules/@peculiar/' },
    },
    {
      name: 'operator-layers',
      comment: 'What is desired and what is observed know nothing of who acts upon them.',
      severity: 'error',
      from: { path: '^operator/(desired|observe|runtime)/', pathNot: testFiles },
      to: { path: '^operator/(controllers|day2)/' },
    },
    {
      name: 'known-folder',
      comment: 'A new folder of pods/ says in this file what it may import.',
      severity: 'error',
      from: { path: '^pods/([^/]+)/', pathNot: [`^pods/(${Object.keys(below).join('|')}|standalone)/`, ...testFiles] },
      to: { path: '^pods/', pathNot: '^pods/$1/' },
    },
    {
      name: 'grpc-protocol-alone',
      comment: 'The gRPC server knows nothing of what is asked over it.',
      severity: 'error',
      from: { path: '^pods/gateway/grpc/', pathNot: testFiles },
      to: { path: '^(pods|operator|proto|e2e|node_modules)/', pathNot: ['^pods/gateway/grpc/', '^pods/kernel/'] },
    },
    {
      name: 'dialects-apart',
      comment: 'Two dialects never import each other.',
      severity: 'error',
      from: { path: '^pods/dialects/([^/]+)/', pathNot: testFiles },
      to: { path: '^pods/dialects/[^/]+/', pathNot: '^pods/dialects/$1/' },
    },
    {
      name: 'concrete-in-mains',
      comment: 'A store, a graph, a disk are chosen by the mains; everything else takes the interface.',
      severity: 'error',
      from: { path: '^pods/([^/]+)/', pathNot: [...testFiles, ...mains] },
      to: { path: '^pods/(storage/(rocksdb|memory|faulty)|index/(hnswlib|native)|kernel/(node-file-system|faulty-file-system|volatile-file))', pathNot: '^pods/$1/' },
    },
    {
      name: 'tests-stay-tests',
      comment: 'The program does not depend on its tests.',
      severity: 'error',
      from: { path: '^(pods|operator|shoal\\.ts)', pathNot: testFiles },
      to: { path: testFiles },
    },
    {
      name: 'sqlite-confined',
      comment: 'SQLite blocks its thread: it runs in the workers of these folders.',
      severity: 'error',
      from: { path: '^(pods|operator|shoal\\.ts)', pathNot: ['^pods/(text|sql)/', ...testFiles] },
      to: { path: '^(node:)?sqlite$' },
    },
    {
      name: 'cli-without-native-modules',
      comment: 'The command line starts fast and runs where nothing can be compiled.',
      severity: 'error',
      from: { path: '^pods/cli/', pathNot: testFiles },
      to: { path: '^node_modules/(rocksdb-native|hnswlib-node|@node-rs)/', reachable: true },
    },
    {
      name: 'no-cycles',
      comment: 'Two files that need each other are one, or lack a third.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-orphans',
      comment: 'Imported by nothing and importing nothing: dead, or not yet wired.',
      severity: 'error',
      from: { orphan: true, pathNot: [...testFiles, ...mains, '^proto/gen/', '\\.d\\.ts$'] },
      to: {},
    },
    {
      name: 'declared-packages',
      comment: 'What is imported stands in package.json.',
      severity: 'error',
      from: { path: '^(pods|operator|shoal\\.ts)' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'no-development-packages',
      comment: 'The program runs without the development dependencies.',
      severity: 'error',
      from: { path: '^(pods|operator|shoal\\.ts)', pathNot: testFiles },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'], pathNot: '^node_modules/@types/' },
    },
    {
      name: 'resolvable',
      comment: 'The file or package that is imported exists.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // A folder above is not to be named even in a type.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    detectProcessBuiltinModuleCalls: true,
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json', '.d.ts'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
