// Generated from crds/*.yaml by `npm run generate`. Do not edit.

/** What shall be. */
export interface VectorCollectionSpec {
  /** The name in the APIs, up to 255 bytes of UTF-8; it need not be the object's. Immutable. */
  readonly name: string;
  /** How many components each vector has. Immutable. */
  readonly dimension: number;
  /** What near means. Immutable. */
  readonly metric: 'cosine' | 'euclidean' | 'dot';
  /** Into how many shards its points are cut. Immutable. */
  readonly shards: number;
  /** How many copies of each point there are. */
  readonly replication: {
    /** Copies of each shard, on different pods. */
    readonly replicas: number;
    /** With fewer copies in sync, writes are refused (rule W5). */
    readonly minInSync: number;
  };
  /** How near vectors are found. */
  readonly index: {
    /** A graph, or a scan of all. Immutable. */
    readonly type: 'hnsw' | 'flat';
    /** Links of a point in the graph. Immutable. */
    readonly m: number;
    /** Breadth of the search when a point is linked. Immutable. */
    readonly efConstruction: number;
    /** Breadth of a search that does not name its own. */
    readonly efSearch: number;
    /** How the graph keeps vectors. int8: one byte for each component in memory; what is found is compared again with the vectors themselves, which are in a file. Immutable. */
    readonly quantization: 'none' | 'int8';
  };
  /** Payload fields that filters look up instead of scanning for. */
  readonly payloadIndexes: readonly {
    /** Name of the field. */
    readonly field: string;
    /** Type of its values. */
    readonly type: 'keyword' | 'integer' | 'float' | 'bool' | 'datetime';
  }[];
  /** On which pods its shards are: those of a pool that it shares with other collections, or pods of its own. Which of the two cannot change. */
  readonly placement: {
    /** Name of a VectorPool of this namespace. Immutable. */
    readonly pool?: string;
    /** A pool of its own, which comes and goes with it. */
    readonly dedicated?: {
      /** How many pods; as many as replication.replicas says where it is not given. */
      readonly pods?: number;
      /** Size of the volume of each pod, such as 100Gi. It may grow. */
      readonly storage: string;
      /** The cluster's default where there is none. Immutable. */
      readonly storageClassName?: string;
      /** What each pod asks for and may use. More than 4 cores help no pod; more pods do. */
      readonly resources?: {
        /** cpu and memory: what it is given in any case. */
        readonly requests?: Readonly<Record<string, string>>;
        /** cpu and memory: what it may use at most. */
        readonly limits?: Readonly<Record<string, string>>;
      };
    };
  };
  /** What becomes of the data when the object is deleted. Retain: volumes of dedicated pods and the replicas' data on shared ones stay, and no new collection takes them over. */
  readonly deletionPolicy: 'Delete' | 'Retain';
}

/** What is. Written by the operator. */
export interface VectorCollectionStatus {
  /** Pending until all shards were there once. */
  readonly phase?: 'Pending' | 'Ready' | 'Degraded';
  /** metadata.generation of the spec that all shards have taken over. */
  readonly observedGeneration?: number;
  /** UIDs of its VectorShards by index, recorded before they hold anything. One that is recorded is never made anew (rule B1). */
  readonly shards?: readonly string[];
  /** What requests are routed by. */
  readonly routing?: {
    /** Changes whenever requests have to go elsewhere. */
    readonly epoch: number;
    /** The generation of shards in use. */
    readonly generation: number;
  };
  /** Shards that serve. */
  readonly readyShards?: number;
  /** Points, as counted now and then. */
  readonly vectorCount?: number;
  /** The state in words, for people. */
  readonly conditions?: readonly {
    /** What it is about. */
    readonly type: string;
    /** Whether it holds. */
    readonly status: 'True' | 'False' | 'Unknown';
    /** Why, in one word. */
    readonly reason: string;
    /** Why, in a sentence. */
    readonly message: string;
    /** The metadata.generation that it was found for. */
    readonly observedGeneration?: number;
    /** Since when the status is this. */
    readonly lastTransitionTime: string;
  }[];
}

/** What shall be. */
export interface VectorPoolSpec {
  /** How many pods. Those that leave are drained first. */
  readonly replicas: number;
  /** The volume of each pod. It may grow. */
  readonly storage: {
    /** Its size, such as 100Gi. */
    readonly size: string;
    /** The cluster's default where there is none. Immutable. */
    readonly storageClassName?: string;
  };
  /** What each pod asks for and may use. More than 4 cores help no pod; more pods do. */
  readonly resources?: {
    /** cpu and memory: what it is given in any case. */
    readonly requests?: Readonly<Record<string, string>>;
    /** cpu and memory: what it may use at most. */
    readonly limits?: Readonly<Record<string, string>>;
  };
  /** Node labels over whose values pods and replicas are spread, the most important first. */
  readonly topologySpread: readonly string[];
  /** Labels that a node must have for a pod to be put there. */
  readonly nodeSelector?: Readonly<Record<string, string>>;
  /** Taints of nodes that do not keep the pods away. */
  readonly tolerations?: readonly {
    /** The taint's key; every taint where there is none. */
    readonly key?: string;
    /** Whether the value counts; Equal where it is not given. */
    readonly operator?: 'Equal' | 'Exists';
    /** The taint's value. */
    readonly value?: string;
    /** The taint's effect; every effect where there is none. */
    readonly effect?: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
    /** How long a pod stays on a node that has the taint; for ever where it is not given. */
    readonly tolerationSeconds?: number;
  }[];
}

/** What is. Written by the operator. */
export interface VectorPoolStatus {
  /** metadata.generation that the rest was found for. */
  readonly observedGeneration?: number;
  /** Pods that are there. */
  readonly replicas?: number;
  /** Pods that serve. */
  readonly readyReplicas?: number;
  /** Label selector of its pods. */
  readonly selector?: string;
  /** A sequence that must not run twice at once; a new leader of the operator goes on with it. */
  readonly operation?: {
    /** Tells one from the next. */
    readonly id: string;
    /** The pod it is about. */
    readonly pod: string;
    /** The UID of the pod's object. */
    readonly podUID: string;
    /** How far it is. */
    readonly step: string;
  };
  /** Pods that their replicas are leaving, and how far each is. */
  readonly drains?: readonly {
    /** Its name. */
    readonly pod: string;
    /** Who asked for it: a Job (`shoal job drain`). The pod takes no replicas for as long as this stands. */
    readonly request?: string;
    /** Requested: not looked at yet. Refused: the other pods have no room; message says why. */
    readonly phase: 'Requested' | 'Draining' | 'Refused' | 'Drained';
    /** Replicas that were on it when it began. */
    readonly total?: number;
    /** Replicas that are still on it. */
    readonly left: number;
    /** What is being done or waited for, in a sentence. */
    readonly message: string;
  }[];
  /** The state in words, for people. */
  readonly conditions?: readonly {
    /** What it is about. */
    readonly type: string;
    /** Whether it holds. */
    readonly status: 'True' | 'False' | 'Unknown';
    /** Why, in one word. */
    readonly reason: string;
    /** Why, in a sentence. */
    readonly message: string;
    /** The metadata.generation that it was found for. */
    readonly observedGeneration?: number;
    /** Since when the status is this. */
    readonly lastTransitionTime: string;
  }[];
}

/** What shall be. Written by the operator; acceptDataLoss by a human. */
export interface VectorShardSpec {
  /** The VectorCollection that it is a shard of. */
  readonly collection: {
    /** The collection's API name. */
    readonly name: string;
    /** The UID of its object: a collection deleted and made again is another one. */
    readonly uid: string;
  };
  /** Resharding builds the next generation of shards beside the one in use. */
  readonly generation: number;
  /** Its place among the shards of its generation. */
  readonly index: number;
  /** The hashes of the point ids that it owns, both ends inclusive, 16 hex digits each. */
  readonly hashRange: {
    /** The first hash. */
    readonly start: string;
    /** The last hash. */
    readonly end: string;
  };
  /** Names of the pods that shall hold a replica. A pod leaves it only after it has left inSync. */
  readonly replicas: readonly string[];
  /** Those of replicas that shall go: the primary takes them out of inSync, then they are taken from replicas. */
  readonly leaving?: readonly string[];
  /** With fewer replicas in sync, writes are refused (rule W5). */
  readonly minInSync: number;
  /** A human's word (rule P1): the copy of this incarnation may lead in this term although it was not in sync. What only other copies have is lost for good. It counts for this one term. */
  readonly acceptDataLoss?: {
    /** The copy that shall lead. */
    readonly incarnation: string;
    /** The term in which it shall: the present one plus one. */
    readonly term: number;
  };
}

/** What is. Written by the operator, and by the pod that is the primary. */
export interface VectorShardStatus {
  /** Lost: it was recorded and its data cannot be found; nothing is made in its place. */
  readonly phase?: 'Pending' | 'Ready' | 'Lost';
  /** Who leads the shard, and which replicas have every write that was acknowledged. */
  readonly authority?: {
    /** Numbers primacies; grows by one with each. */
    readonly term: number;
    /** Numbers the sets in sync. */
    readonly configVersion: number;
    /** The one process that may give numbers to writes in this term. */
    readonly primary: {
      /** Its name. */
      readonly pod: string;
      /** The UID of the pod's object. */
      readonly podUID: string;
      /** One life of its data. */
      readonly incarnation: string;
      /** One life of its process. */
      readonly session: string;
    };
    /** Replicas that must have a write before it is acknowledged. Their order means nothing. */
    readonly inSync: readonly {
      /** Its name. */
      readonly pod: string;
      /** One life of its data. */
      readonly incarnation: string;
    }[];
  };
  /** Written to move the object's version, and for nothing else (rule A1). */
  readonly nonce?: string;
  /** A request to the operator to make another replica the primary (rule S1). Void in any other term. */
  readonly handover?: {
    /** Tells one request from the next. */
    readonly id: string;
    /** The term that shall end. */
    readonly term: number;
    /** Who shall follow; without it the operator chooses. */
    readonly to?: {
      /** Its name. */
      readonly pod: string;
      /** One life of its data. */
      readonly incarnation: string;
    };
  };
  /** The state in words, for people. */
  readonly conditions?: readonly {
    /** What it is about. */
    readonly type: string;
    /** Whether it holds. */
    readonly status: 'True' | 'False' | 'Unknown';
    /** Why, in one word. */
    readonly reason: string;
    /** Why, in a sentence. */
    readonly message: string;
    /** The metadata.generation that it was found for. */
    readonly observedGeneration?: number;
    /** Since when the status is this. */
    readonly lastTransitionTime: string;
  }[];
}
