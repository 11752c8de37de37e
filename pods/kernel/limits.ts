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

  // Replication
  /** A joiner that lacks no more entries than these enters maximalInSync (rule A1). */
  joinLagEntryCountMax: 256,
  /** Sent to one replica and not answered yet; what lies above waits in the log. */
  replicationWindowBytes: 8 * mebibytes,
  replicationBatchBytesMax: 768 * kibibytes,
  replicationBatchEntryCountMax: 1_024,
  /** Newest entries of a replica kept in memory, beside those on their way to the disk. */
  replicationBufferBytesMax: 8 * mebibytes,
  /** Without an answer for so long, entries are sent again. */
  replicationResendMs: 1_000,
  /** An idle primary says what is committed within this time. */
  commitAnnounceMs: 20,
  heartbeatMs: 500,
  /** Rule W4: a member that was silent for so long is taken out of inSync. */
  memberSuspectMs: 1_500,
  /** Rule W4: likewise one that answers, but not for what it was sent. */
  memberSlowMs: 10_000,
  metadataTimeoutMs: 2_000,
  /** Rule S1: a primary that stopped its writes takes them up again after this time. */
  handoverMsMax: 2_000,
  /** A pod that ends serves on for so long, until other pods lead its shards. */
  podHandoverMsMax: 30_000,

  // Controller of shards (rule P1)
  probeIntervalMs: 500,
  suspectAfterMs: 2_000,
  /** Shards that are acted upon at a time; promotions go first. */
  shardStepsInFlightMax: 32,
  /** Time between two looks at the balance of replicas. */
  rebalanceIntervalMs: 5_000,
  /** Replicas of one pool that move at a time for a better balance. */
  rebalanceMovesMax: 2,
  /** A pod that has been out of reach for so long is given up: its replicas are placed elsewhere, if there is room. */
  podLossMs: 600_000,

  // Log
  logSegmentBytes: 64 * mebibytes,
  logRecordBytesMax: 16 * mebibytes,
  logGroupBytesMax: 32 * mebibytes,
  logGroupRecordCountMax: 8_192,
  /** What waits for the next group of the log, over all replicas of the pod (OVERLOADED). */
  logQueueBytesMax: 128 * mebibytes,
  logQueueRecordCountMax: 65_536,

  // Transfer of a replica's state to another pod (rules A1, T1)
  /** One answer of a transfer: less than a frame between pods, with room for what encoding adds. */
  transferAnswerBytesMax: 960 * kibibytes,
  transferPartBytesMax: 256 * kibibytes,
  /** Transfers that one pod sends at a time (OVERLOADED). */
  transferCountMax: 2,
  /** All transfers of the pod together. */
  transferBytesPerSecondMax: 64 * mebibytes,
  /** A transfer nobody asked about for so long is dropped, and so is what it holds back of the log. */
  transferIdleMsMax: 60_000,
  /** The same once all is sent: for so long the receiver may open what it got and catch up. */
  transferCatchUpMsMax: 600_000,
  /** What the pod's log grows by while a transfer holds it back; then the transfer is given up. */
  transferPinnedLogBytesMax: 2_048 * mebibytes,
  /** The receiver asks again so often in a row, with waits that grow by the first. */
  transferRetryCountMax: 8,
  transferRetryMs: 250,
  /** How often the receiver starts over when the sender has forgotten the transfer. */
  transferRestartCountMax: 4,

  // Index and shard
  /** Component count of the tail: above it writers feel back-pressure. Every search scans it: half a millisecond of the loop. */
  tailFloatsMax: 262_144,
  /** So many times that is the bound of a backup's, which no writer waits for: above it nothing more is applied. */
  backupTailFactor: 4,
  /** A shard whose vectors fit into this many components stays all tail: flat and exact, no graph. */
  flatFloatsMax: 1_000_000,
  /** Without a payload index a filter may scan at most this many points of a shard (FIELD_NOT_INDEXED). */
  unindexedFilterPointCountMax: 20_000,
  /** Filters of a shard whose sets are kept until a payload changes: an eighth of a byte each for each point. */
  cachedFilterCount: 8,
  /** Characters of the JSON of a filter that is kept. */
  cachedFilterLengthMax: 4_096,
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
  /** The memory changes at one instant with each batch: so many points take the loop a few milliseconds. */
  applyBatchOperationCountMax: 512,
  deleteChunkCount: 1_000,

  // Storage
  /** One slice of a scan: at most this many entries, and about this many bytes unless one entry alone is larger. */
  storageSliceEntryCountMax: 1_024,
  storageSliceBytesMax: 256 * kibibytes,
  /** Batches that wait for the one before them are written together, up to these bounds. */
  storageWriteGroupOperationCountMax: 2_048,
  storageWriteGroupBytesMax: 4 * mebibytes,
  storageWriteBufferBytes: 64 * mebibytes,
  /** Payloads of search hits that a pod keeps in memory, of all its shards together; memory is taken as they are read. */
  payloadCacheBytesMax: 64 * mebibytes,

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

  // Kubernetes API (UNAVAILABLE for reads, OUTCOME_UNKNOWN for writes)
  /** One attempt; a read is tried again, a write never is (rule W4). */
  kubeRequestTimeoutMs: 5_000,
  kubeReadTriesMax: 3,
  kubeFirstBackoffMs: 100,
  kubeBackoffMsMax: 5_000,
  kubeConnectionsMax: 32,
  kubeAnswerBytesMax: 64 * mebibytes,
  kubeListPageCount: 500,
  /** The server ends a watch after this time at the latest; it is begun again where it was. */
  kubeWatchMsMax: 60_000,
  kubeWatchLineLengthMax: 4 * mebibytes,
  /** What a watch has given is fresh for so long after it was last heard of. */
  kubeWatchSilenceMsMax: 70_000,
  /** A connection that is silent for so long is probed by the kernel. */
  kubeKeepAliveProbeMs: 10_000,

  // Operator
  /** A leader that could not renew its Lease stops so long after it last sent a renewal that was confirmed. */
  leaseHeldMsMax: 5_000,
  leaseRenewMs: 1_000,
  /**
   * Who has seen the same record for so long takes the Lease; more than `leaseHeldMsMax`. A shard whose primary is lost
   * together with the leader is without one for as long; two leaders at a time would do no harm to it (rules A1, G1).
   */
  leaseTakeoverMs: 6_500,
  leaseWatchMs: 500,
  /** Objects of one kind that are looked at at a time. */
  reconcilesInFlightMax: 8,
  /** Changes that come within this time are seen by one look. */
  reconcileGatherMs: 50,
  /** Between two looks at one collection, whose status is written after each: there may be many collections. */
  collectionReconcileSpacingMs: 500,
  vectorCountIntervalMs: 60_000,
  reconcileFirstBackoffMs: 200,
  reconcileBackoffMsMax: 30_000,
  /** Everything announces itself; this is for what does not. */
  reconcileRestMs: 300_000,
  eventsPerMinuteMax: 300,

  // Router
  /** From its first failure on a request of a shard is tried again for so long, if its deadline allows (the last error). */
  shardRetryMsMax: 15_000,
  shardRetryFirstPauseMs: 10,
  shardRetryPauseMsMax: 500,
  /** How often it is looked whether the primary that has not answered leads yet. */
  successionLookMs: 250,
  /** Reads of the metadata that contradictions cause, over all requests of the process. */
  mapRefreshesPerSecondMax: 20,
  /** Shards of tokens that are remembered to be none of a collection's: they are gone, mostly. */
  strangeTokenCountMax: 16_384,
  /** Collections that were deleted, of which a late watch may still tell. */
  goneCollectionCountMax: 4_096,
  /** A replica that failed is passed over for so long while there are others. */
  replicaAvoidedMs: 500,
  /** What a data pod may take to describe itself; one that takes longer is described as not ready. */
  podReportTimeoutMs: 2_000,
  /** Replicas whose latency is remembered. */
  measuredReplicaCountMax: 65_536,
  /** Reads that are sent to a second replica because the first is late, as a part of all. */
  hedgedFractionMax: 0.05,
  hedgeBurstCountMax: 10,
  /** How late, while too few reads of the shard were measured; and at least. */
  hedgeFirstDelayMs: 50,
  hedgeShortestDelayMs: 2,
  /** A read that is so late, and several times as late as most, is overdue: its replica seems to hang. */
  hedgeOverdueMs: 250,

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
  /** Of answers above all that a client does not take: then its connection gets no more calls. */
  grpcConnectionMebibytesMax: 256,
  /** What a client may send of one call, and of all of a connection, before the server has taken it in. */
  grpcStreamWindowBytes: 1 * mebibytes,
  grpcConnectionWindowBytes: 4 * mebibytes,
  /** A path parameter as it stands in the URL, percent-encoded (ROUTE_NOT_FOUND). */
  pathParameterBytesMax: 3 * 512,
  headersTimeoutMs: 10_000,
  bodyTimeoutMs: 60_000,
  /** What still comes of a body that was refused is thrown away up to here, so that the client sees the answer. */
  unwantedBodyBytesMax: 64 * mebibytes,
  unwantedBodyMsMax: 5_000,
  keepAliveTimeoutMs: 75_000,

  // Between pods and gateways (shoal.shard.v1)
  wireFrameBytesMax: 1 * mebibytes,
  /** A frame takes no more once it has so much: what becomes urgent meanwhile waits for the end of it. */
  wireFrameBytesTarget: 256 * kibibytes,
  wireFrameItemCountMax: 1_024,
  /** One message, request or answer: a log entry with what stands around it, and some room (BODY_TOO_LARGE, RESPONSE_TOO_LARGE). */
  wireItemBytesMax: 20 * mebibytes,
  /** A larger item goes in pieces of this size, so that others get in between. */
  wirePieceBytesMax: 64 * kibibytes,
  /** What one side may have sent and the other not yet taken in, for each of messages, requests and answers. */
  wireWindowBytes: 32 * mebibytes,
  /** What waits for the window: requests fail with OVERLOADED, messages are dropped, and beyond it in answers no new request is taken. */
  wireQueueBytesMax: 32 * mebibytes,
  /** Requests under way on one connection, in each direction (OVERLOADED). */
  wireRequestsInFlightMax: 4_096,
  /** Frames handed to the connection and not yet gone: more would only delay what becomes urgent. */
  wireUnflushedBytesMax: 512 * kibibytes,
  /** Less than `wireUnflushedBytesMax` of room says itself so late, if nothing else goes that way: a frame of its own costs as much as a small write. */
  wireCreditDelayMs: 100,
  /** A peer that is silent this long is asked for a sign of life, which must come within the next. */
  wireKeepAliveIntervalMs: 1_500,
  wireKeepAliveTimeoutMs: 2_500,
  /** From the first byte to the other side's name (UNAVAILABLE). */
  wireConnectTimeoutMs: 5_000,
  /** Messages that wait while a connection is being opened; further ones are dropped. */
  wireOpeningMessageCountMax: 1_024,
  wireReconnectDelayMs: 50,
  wireReconnectDelayMsMax: 2_000,
  /** Connections that shall use a renewed certificate are made anew within so long, each at its own time. */
  wireRenewalSpreadMs: 30_000,
  /** What is under way on a connection that another has replaced gets so long to end. */
  wireRetireMsMax: 30_000,
  /** A connection whose other side comes from an authority that is trusted no more ends at the latest after so long. */
  wireDistrustedMsMax: 120_000,
  /** The operator looks after the internal certificates again after so long, sooner when something is due. */
  certificateLookMsMax: 60_000,
  certificateLookMs: 1_000,

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
