"""usearch as a library: 32-bit floats, cosine."""

import os

import numpy
from usearch.index import Index


class Usearch:
    def create(self, directory, dimension, points, m, ef_construction):
        self.path = os.path.join(directory, "graph")
        self.index = Index(ndim=dimension, metric="cos", dtype="f32", connectivity=m, expansion_add=ef_construction)
        self.changed = True

    def open(self, directory, dimension):
        self.index = Index.restore(os.path.join(directory, "graph"))
        self.changed = False

    def insert(self, first, vectors):
        self.index.add(numpy.arange(first, first + len(vectors), dtype=numpy.uint64), vectors, threads=1)

    def finish(self):
        pass

    def prepare_search(self, breadth):
        self.index.expansion_search = breadth

    def search(self, query, k, breadth):
        return self.index.search(query, k, threads=1).keys

    def end(self):
        if self.changed:
            self.index.save(self.path)


def open_database():
    return Usearch()
