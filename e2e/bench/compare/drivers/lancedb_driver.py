"""LanceDB in this process: IVF with one partition, whose graph keeps 32-bit floats; cosine."""

import lancedb
import pyarrow
from lancedb.index import HnswFlat

ROWS_PER_TRANSACTION = 20_000


class Lance:
    def create(self, directory, dimension, points, m, ef_construction):
        self.m, self.ef_construction = m, ef_construction
        vector = pyarrow.list_(pyarrow.float32(), dimension)
        schema = pyarrow.schema([("id", pyarrow.int32()), ("vector", vector)])
        self.vector = vector
        self.schema = schema
        self.table = lancedb.connect(directory).create_table("bench", schema=schema)
        self.waiting = []

    def open(self, directory, dimension):
        self.table = lancedb.connect(directory).open_table("bench")

    def insert(self, first, vectors):
        """Each transaction leaves a file; many small ones would be compared with care that nobody takes."""
        values = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(vectors.reshape(-1)), vectors.shape[1])
        ids = pyarrow.array(range(first, first + len(vectors)), pyarrow.int32())
        self.waiting.append(pyarrow.RecordBatch.from_arrays([ids, values], schema=self.schema))
        if sum(batch.num_rows for batch in self.waiting) >= ROWS_PER_TRANSACTION:
            self.flush()

    def flush(self):
        if self.waiting:
            self.table.add(pyarrow.Table.from_batches(self.waiting))
            self.waiting = []

    def finish(self):
        self.flush()
        config = HnswFlat(distance_type="cosine", num_partitions=1, m=self.m, ef_construction=self.ef_construction)
        self.table.create_index("vector", config=config)

    def prepare_search(self, breadth):
        pass

    def search(self, query, k, breadth):
        # It refuses a breadth below k.
        found = self.table.search(query).distance_type("cosine").nprobes(1).ef(max(breadth, k)).limit(k).select(["id"]).to_arrow()
        return found["id"].to_numpy()

    def end(self):
        pass


def open_database():
    return Lance()
