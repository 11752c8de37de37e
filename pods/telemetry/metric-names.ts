/**
 * Every metric, in one table: its public name, kind, unit, labels and meaning. Labels have few values by design: names of
 * operations, codes and shards, never ids, keys or anything else that a caller can invent.
 *
 * `counter` and `histogram` are recorded where the event happens; `gauge` and `observed-counter` are read when somebody
 * scrapes.
 */

export interface MetricDeclaration {
  readonly name: string;
  readonly kind: 'counter' | 'histogram' | 'gauge' | 'observed-counter';
  readonly help: string;
  readonly unit?: 'seconds' | 'bytes' | 'ratio';
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets, ascending. */
  readonly bounds?: readonly number[];
}

const latencyBounds = [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;
const shard = ['collection', 'shard'] as const;

export const metricTable = {
  requests: { name: 'shoal_requests_total', kind: 'counter', labels: ['transport', 'dialect', 'operation', 'code'], help: 'Requests that were answered; code is OK or the error code.' },
  requestDuration: {
    name: 'shoal_request_duration_seconds',
    kind: 'histogram',
    unit: 'seconds',
    labels: ['transport', 'dialect', 'operation'],
    bounds: latencyBounds,
    help: 'Time from the headers of a request to its last byte of answer.',
  },
  requestsInFlight: { name: 'shoal_requests_in_flight', kind: 'gauge', labels: [], help: 'Requests that have begun and are not answered.' },
  requestBytes: { name: 'shoal_request_bytes_total', kind: 'counter', unit: 'bytes', labels: ['transport', 'dialect'], help: 'Bytes of request bodies.' },
  responseBytes: { name: 'shoal_response_bytes_total', kind: 'counter', unit: 'bytes', labels: ['transport', 'dialect'], help: 'Bytes of answer bodies.' },
  slowRequests: { name: 'shoal_slow_requests_total', kind: 'counter', labels: ['dialect', 'operation'], help: 'Requests that took longer than slow-query-ms.' },
  credentialChecks: { name: 'shoal_credential_checks_total', kind: 'counter', labels: ['outcome'], help: 'Credentials that were checked, by outcome.' },

  routerRetries: { name: 'shoal_router_retries_total', kind: 'counter', labels: ['operation', 'code'], help: 'Requests of a shard that were sent again after a pause, by what they had met.' },
  routerFailovers: { name: 'shoal_router_failovers_total', kind: 'counter', labels: ['code'], help: 'Reads that went to another replica at once because one failed.' },
  routerHedges: { name: 'shoal_router_hedges_total', kind: 'counter', labels: ['outcome'], help: 'Reads that were sent to a second replica because the first was late, and those of them that it won.' },
  clusterMapRefreshes: { name: 'shoal_cluster_map_refreshes_total', kind: 'counter', labels: ['outcome'], help: 'Reads of the metadata because a pod or a name contradicted the cluster map; postponed: too many in that second.' },
  clusterMapFresh: { name: 'shoal_cluster_map_fresh', kind: 'gauge', labels: [], help: '1 while the router hears of the metadata store, 0 while it goes on with what it knows.' },

  ready: { name: 'shoal_ready', kind: 'gauge', labels: [], help: '1 when the process serves, else 0.' },
  collections: { name: 'shoal_collections', kind: 'gauge', labels: [], help: 'Collections.' },
  points: { name: 'shoal_points', kind: 'gauge', labels: shard, help: 'Points stored.' },
  tailPoints: { name: 'shoal_tail_points', kind: 'gauge', labels: shard, help: 'Points that are searchable and not yet in the graph.' },
  graphPoints: { name: 'shoal_graph_points', kind: 'gauge', labels: shard, help: 'Points in the graph.' },
  indexMemory: { name: 'shoal_index_memory_bytes', kind: 'gauge', unit: 'bytes', labels: shard, help: 'Memory of the vector index.' },
  payloadCache: { name: 'shoal_payload_cache_bytes', kind: 'gauge', unit: 'bytes', labels: [], help: 'Memory that holds payloads of search hits.' },
  appliedSeq: { name: 'shoal_applied_seq', kind: 'gauge', labels: shard, help: 'Number of the last operation applied.' },
  applyLag: { name: 'shoal_apply_lag_operations', kind: 'gauge', labels: shard, help: 'Operations committed and not yet applied.' },
  term: { name: 'shoal_replica_term', kind: 'gauge', labels: shard, help: 'Term that the replica here has adopted.' },
  isPrimary: { name: 'shoal_replica_is_primary', kind: 'gauge', labels: shard, help: '1 where the replica here leads its shard, else 0.' },
  inSync: { name: 'shoal_shard_in_sync_replicas', kind: 'gauge', labels: shard, help: 'Replicas in sync, as the newest authority that is known here says.' },
  replicaLag: {
    name: 'shoal_replica_lag_operations',
    kind: 'gauge',
    labels: ['collection', 'shard', 'pod'],
    help: 'Of a shard that is led here: operations that the replica on the pod has not stored yet.',
  },
  checkpointLag: { name: 'shoal_checkpoint_lag_operations', kind: 'gauge', labels: shard, help: 'Operations applied since the last index checkpoint.' },
  queueLength: { name: 'shoal_queue_length', kind: 'gauge', labels: ['queue'], help: 'Entries that wait in a queue.' },
  logBytes: { name: 'shoal_log_bytes', kind: 'gauge', unit: 'bytes', labels: [], help: 'Size of the log on disk.' },
  logSegments: { name: 'shoal_log_segments', kind: 'gauge', labels: [], help: 'Segment files of the log.' },
  logAppends: { name: 'shoal_log_records_total', kind: 'observed-counter', labels: [], help: 'Records appended to the log.' },
  logSyncs: { name: 'shoal_log_syncs_total', kind: 'observed-counter', labels: [], help: 'Times the log was synced to disk.' },
  logSyncSeconds: { name: 'shoal_log_sync_seconds_total', kind: 'observed-counter', unit: 'seconds', labels: [], help: 'Time spent in syncs of the log.' },
  peerConnections: { name: 'shoal_peer_connections', kind: 'gauge', labels: [], help: 'Open connections to pods and gateways.' },
  peerRequests: { name: 'shoal_peer_requests_total', kind: 'counter', labels: ['operation', 'code'], help: 'Requests of other pods, gateways and controllers that were answered; code is OK or the error code.' },
  peerMessagesDropped: { name: 'shoal_peer_messages_dropped_total', kind: 'observed-counter', labels: [], help: 'Replication messages that did not fit a queue; what they said is said again.' },
  transferBytes: { name: 'shoal_transfer_bytes_total', kind: 'observed-counter', unit: 'bytes', labels: [], help: 'Bytes of snapshots of replicas that were sent to other pods.' },
  diskUsed: { name: 'shoal_disk_used_ratio', kind: 'gauge', unit: 'ratio', labels: [], help: 'Fraction in use of the disk that holds the data directory.' },
  writable: { name: 'shoal_writable', kind: 'gauge', labels: [], help: '1 when writes that add data are taken, 0 when the disk is too full.' },
  certificateDays: {
    name: 'shoal_certificate_remaining_days',
    kind: 'gauge',
    labels: ['certificate'],
    help: 'Days until the certificate in use expires, negative when it has: internal is for pods and gateways among themselves, public for clients, authority what the internal ones are issued by.',
  },

  leads: { name: 'shoal_operator_leads', kind: 'gauge', labels: [], help: '1 while this operator holds the Lease and works, 0 while it stands by.' },
  reconciles: { name: 'shoal_operator_reconciles_total', kind: 'counter', labels: ['controller', 'outcome'], help: 'Looks of the operator at an object; outcome is ok or failed.' },
  reconcileDuration: { name: 'shoal_operator_reconcile_duration_seconds', kind: 'histogram', unit: 'seconds', labels: ['controller'], bounds: latencyBounds, help: 'How long such a look took.' },

  eventLoopDelay: { name: 'shoal_event_loop_delay_seconds', kind: 'gauge', unit: 'seconds', labels: ['quantile'], help: 'Delay of the event loop since the last scrape.' },
  eventLoopUtilisation: { name: 'shoal_event_loop_utilisation_ratio', kind: 'gauge', unit: 'ratio', labels: [], help: 'Part of the time since the last scrape in which the event loop was busy.' },
  garbageCollection: { name: 'shoal_garbage_collection_seconds_total', kind: 'observed-counter', unit: 'seconds', labels: [], help: 'Time spent in garbage collection.' },
  processCpu: { name: 'shoal_process_cpu_seconds_total', kind: 'observed-counter', unit: 'seconds', labels: [], help: 'CPU time of the process, all threads.' },
  processMemory: { name: 'shoal_process_memory_bytes', kind: 'gauge', unit: 'bytes', labels: ['kind'], help: 'Memory of the process.' },
  buildInformation: { name: 'shoal_build_info', kind: 'gauge', labels: ['version', 'node'], help: 'Always 1; the labels tell the versions.' },
} as const satisfies Record<string, MetricDeclaration>;

export type MetricName = keyof typeof metricTable;
type NamesOfKind<Kind> = { [Name in MetricName]: (typeof metricTable)[Name]['kind'] extends Kind ? Name : never }[MetricName];
export type CounterName = NamesOfKind<'counter'>;
export type HistogramName = NamesOfKind<'histogram'>;
export type ObservedName = NamesOfKind<'gauge' | 'observed-counter'>;
export type LabelsOf<Name extends MetricName> = { readonly [Label in (typeof metricTable)[Name]['labels'][number]]: string };
