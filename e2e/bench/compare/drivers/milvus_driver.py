"""Milvus through its own client: Milvus Lite on a file, or the server that MILVUS_ADDRESS names. HNSW, cosine."""

import os
import time

from pymilvus import DataType, MilvusClient

COLLECTION = "shoal_bench"


class Milvus:
    def connect(self, directory):
        address = os.environ.get("MILVUS_ADDRESS")
        self.remote = address is not None
        self.client = MilvusClient(uri=f"http://{address}" if self.remote else os.path.join(directory, "bench.db"))

    def create(self, directory, dimension, points, m, ef_construction):
        self.connect(directory)
        if self.client.has_collection(COLLECTION):
            self.client.drop_collection(COLLECTION)
        schema = MilvusClient.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
        index = self.client.prepare_index_params()
        parameters = {"M": m, "efConstruction": ef_construction}
        index.add_index("vector", index_type="HNSW", metric_type="COSINE", params=parameters)
        self.client.create_collection(COLLECTION, schema=schema, index_params=index)
        self.points = points

    def open(self, directory, dimension):
        self.connect(directory)
        self.client.load_collection(COLLECTION)

    def insert(self, first, vectors):
        self.client.insert(COLLECTION, [{"id": first + at, "vector": vector} for at, vector in enumerate(vectors)])

    def finish(self):
        self.client.flush(COLLECTION)
        self.client.load_collection(COLLECTION)
        while self.remote:
            state = self.client.describe_index(COLLECTION, "vector")
            if int(state.get("indexed_rows", 0)) >= self.points and int(state.get("pending_index_rows", 0)) == 0:
                break
            time.sleep(0.2)

    def prepare_search(self, breadth):
        pass

    def search(self, query, k, breadth):
        parameters = {"metric_type": "COSINE", "params": {"ef": breadth}}
        (hits,) = self.client.search(COLLECTION, data=[query], limit=k, search_params=parameters)
        return [hit["id"] for hit in hits]

    def end(self):
        if self.remote:
            self.client.drop_collection(COLLECTION)
        self.client.close()


def open_database():
    return Milvus()
