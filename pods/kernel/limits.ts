/**
 * Every bound of the system in one place. A name ends with its unit and qualifier; the comment names the error that
 * crossing it gives (see errors.ts). `docs/limits.md` is checked against this table.
 */

const kibibytes = 1024;
const mebibytes = 1024 * kibibytes;

export const limits = {
  // Names and shapes (INVALID_NAME, INVALID_ID, INVALID_ARGUMENT)
  collectionNameBytesMax: 255,
  collectionCountMax: 10_000,
  pointIdBytesMax: 512,
  dimensionMax: 16_384,
  shardCountMax: 256,
  fieldNameBytesMax: 255,
  payloadIndexCountMax: 64,

  // One request (BATCH_TOO_LARGE, BODY_TOO_LARGE, PAYLOAD_TOO_LARGE, PAYLOAD_TOO_DEEP, FILTER_INVALID)
  batchPointCountMax: 10_000,
  payloadBytesMax: 1 * mebibytes,
  payloadDepthMax: 32,
  textBytesMax: 1 * mebibytes,
  topKMax: 10_000,
  efSearchMax: 10_000,
  searchBatchCountMax: 256,
  scrollLimitMax: 10_000,
  filterConditionCountMax: 256,
  filterDepthMax: 16,
  filterInValuesMax: 4_096,
  grpcMessageBytesMax: 16 * mebibytes,
  httpBodyBytesMax: 16 * mebibytes,
  /** JSON bodies up to this size are parsed on the event loop, larger ones in a worker. */
  httpBodyOnLoopBytesMax: 1 * mebibytes,
  /** A public unary answer (RESPONSE_TOO_LARGE): gRPC clients accept 4 MiB by default. */
  responseBytesMax: 4 * mebibytes - 64 * kibibytes,
  headerBytesMax: 16 * kibibytes,

  // Waiting (DEADLINE_EXCEEDED)
  requestTimeoutMsDefault: 30_000,
  requestTimeoutMsMax: 600_000,
  shutdownGraceMs: 10_000,
  /** The same signal again within this time is one signal, delivered twice. */
  sameSignalMs: 1_000,

  // Queues (OVERLOADED)
  requestsInFlightMax: 4_096,
  shardPendingWriteBytesMax: 64 * mebibytes,
  shardPendingWriteCountMax: 16_384,
  shardSearchQueueMax: 1_024,

  // Log
  logSegmentBytes: 64 * mebibytes,
  logRecordBytesMax: 16 * mebibytes,
  logGroupBytesMax: 32 * mebibytes,
  logGroupRecordCountMax: 8_192,
  /** What waits for the next group of the log, over all replicas of the pod (OVERLOADED). */
  logQueueBytesMax: 128 * mebibytes,
  logQueueRecordCountMax: 65_536,

  // Index and shard
  /** Component count of the tail: above it writers feel back-pressure. Every search scans it: half a millisecond of the loop. */
  tailFloatsMax: 262_144,
  /** A shard whose vectors fit into this many components stays all tail: flat and exact, no graph. */
  flatFloatsMax: 1_000_000,
  /** Without a payload index a filter may scan at most this many points of a shard (FIELD_NOT_INDEXED). */
  unindexedFilterPointCountMax: 20_000,
  /** Longer strings are left out of keyword indexes; filters on them read payloads. */
  indexedKeywordLengthMax: 1_024,
  /** Of a point with more values in one field, filters on the field read the payload. */
  indexedValuesPerFieldMax: 1_024,
  indexInsertSliceMs: 5,
  checkpointPointCountMin: 16_384,
  checkpointFractionNew: 0.05,
  checkpointIntervalMs: 60_000,
  applyBatchEntryCountMax: 256,
  applyBatchBytesMax: 4 * mebibytes,
  deleteChunkCount: 1_000,

  // Storage
  /** One slice of a scan: at most this many entries, and about this many bytes unless one entry alone is larger. */
  storageSliceEntryCountMax: 1_024,
  storageSliceBytesMax: 256 * kibibytes,
  /** Batches that wait for the one before them are written together, up to these bounds. */
  storageWriteGroupOperationCountMax: 2_048,
  storageWriteGroupBytesMax: 4 * mebibytes,
  storageWriteBufferBytes: 64 * mebibytes,

  // Idempotency (rule D1)
  clientIdBytesMax: 128,
  rememberedRequestsPerClientMax: 128,
  rememberedBytesPerClientMax: 4 * mebibytes,
  rememberedClientsMax: 4_096,
  rememberedBytesMax: 64 * mebibytes,

  // Disk watermarks: fractions of the file system in use
  diskReadOnlyAtFraction: 0.9,
  diskWritableAtFraction: 0.85,
  diskCheckIntervalMs: 2_000,
  /** What a written byte may take of the disk before the next look: in the log, in the store's own log, in its files, in a compaction. */
  diskWriteAmplification: 8,

  // Keys, feedback
  apiKeyCountMax: 10_000,
  apiKeyNameBytesMax: 255,
  apiKeyCollectionCountMax: 1_000,
  feedbackItemCountMax: 1_000,
  feedbackBytesMax: 64 * kibibytes,

  // Gateway
  requestIdBytesMax: 128,
  /** What Retry-After tells a client whose request may be sent again. */
  retryAfterMs: 1_000,
  /** What aborted requests get at shutdown to send their answers. */
  shutdownAnswerMs: 1_000,
  certificateCheckIntervalMs: 60_000,
  readinessCheckIntervalMs: 250,
  /** Nesting of a JSON body (MALFORMED_BODY): a payload at its own limit inside a batch fits. */
  jsonDepthMax: 40,
  /** Large bodies that wait for the parse worker (OVERLOADED). */
  parseQueueMax: 32,
  /** About as much of a parsed body as the event loop takes over in one step, in bytes of its text. */
  parsePartBytes: 128 * kibibytes,
  parseWorkerMemoryMebibytesMax: 1_024,
  connectionsMax: 10_000,
  grpcStreamsPerConnectionMax: 1_000,
  /** A path parameter as it stands in the URL, percent-encoded (ROUTE_NOT_FOUND). */
  pathParameterBytesMax: 3 * 512,
  headersTimeoutMs: 10_000,
  bodyTimeoutMs: 60_000,
  /** What still comes of a body that was refused is thrown away up to here, so that the client sees the answer. */
  unwantedBodyBytesMax: 64 * mebibytes,
  unwantedBodyMsMax: 5_000,
  keepAliveTimeoutMs: 75_000,

  // Credentials: how long a checked key is believed, hence how long a revoked one may live on in other processes
  keyCacheMs: 5_000,
  credentialBytesMax: 512,

  // Telemetry
  metricSeriesMax: 2_000,
  traceQueueSpansMax: 4_096,
  traceBatchSpansMax: 512,
  traceExportIntervalMs: 1_000,
  traceExportTimeoutMs: 5_000,

  // Command line
  importBatchPointCountDefault: 500,
  importBatchBytesMax: 4 * mebibytes,
  importSlotCountMax: 32,
  importRetryMsDefault: 120_000,
  exportPageBytesTarget: 2 * mebibytes,
} as const;

export type Limits = typeof limits;
