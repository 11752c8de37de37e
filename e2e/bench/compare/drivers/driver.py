"""Databases that are Python packages, behind the protocol of driven-peer.ts: `driver.py <module of this folder>`.

A module has `open_database()`, which returns an object with create, insert, finish, open, prepare_search, search and end.
"""

import importlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy

ROWS_PER_READ = 1000


def read_rows(path, first, count, dimension):
    offset = first * dimension * 4
    return numpy.fromfile(path, dtype=numpy.float32, count=count * dimension, offset=offset).reshape(count, dimension)


class Driver:
    def __init__(self, database):
        self.database = database
        self.dimension = 0

    def create(self, directory, dimension, points, m, ef_construction):
        self.dimension = int(dimension)
        self.database.create(directory, self.dimension, int(points), int(m), int(ef_construction))

    def open(self, directory, dimension):
        self.dimension = int(dimension)
        self.database.open(directory, self.dimension)

    def import_(self, path, count):
        count = int(count)
        for first in range(0, count, ROWS_PER_READ):
            size = min(ROWS_PER_READ, count - first)
            self.database.insert(first, read_rows(path, first, size, self.dimension))
        self.database.finish()

    def search(self, path, count, k, breadth, in_flight, answer_path, latency_path):
        count, k, breadth, in_flight = int(count), int(k), int(breadth), int(in_flight)
        queries = read_rows(path, 0, count, self.dimension)
        answers = numpy.full((count, k), -1, dtype=numpy.int32)
        latencies = numpy.zeros(count)
        self.database.prepare_search(breadth)
        places = iter(range(count))

        def lane(_):
            # `next` of one iterator is atomic: no two lanes take the same query.
            for query in places:
                sent = time.perf_counter()
                found = self.database.search(queries[query], k, breadth)
                latencies[query] = (time.perf_counter() - sent) * 1000
                answers[query, : len(found)] = found

        started = time.perf_counter()
        if in_flight == 1:
            lane(0)
        else:
            with ThreadPoolExecutor(in_flight) as pool:
                list(pool.map(lane, range(in_flight)))
        seconds = time.perf_counter() - started
        answers.tofile(answer_path)
        latencies.tofile(latency_path)
        return seconds

    def end(self):
        self.database.end()


def main():
    # What a library prints must not come between our answers.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    driver = Driver(importlib.import_module(sys.argv[1]).open_database())
    for line in sys.stdin:
        verb, *words = line.rstrip("\n").split("\t")
        started = time.perf_counter()
        try:
            method = getattr(driver, "import_" if verb == "import" else verb)
            seconds = method(*words)
            print("ok", seconds if seconds is not None else time.perf_counter() - started, sep="\t", file=replies)
        except Exception as error:  # whatever a database throws is the answer
            reason = f"{type(error).__name__}: {error}".replace("\n", " ").replace("\t", " ")
            print("error", reason, sep="\t", file=replies)


main()
