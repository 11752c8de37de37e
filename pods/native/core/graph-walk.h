// The walk on one level, as a template over what counts as an answer: searches and insertions ask differently.
#pragma once

#include "graph.h"

namespace shoal {

// Of each row that will be compared, as much is fetched while the links are read.
constexpr size_t fetchedAhead = 128;

template <class Accept>
WalkOutcome Graph::walk(const Query& query, uint32_t start, int level, const WalkOptions& options, const Accept& accept, Scratch& scratch) const {
  NearestPool& pool = scratch.pool;
  VisitedSet& visited = scratch.visited;
  const uint32_t capacity = slots_.capacity(level);
  scratch.resizeBatch(capacity);
  visited.reset(slotCount());
  pool.reset(options.breadth);
  visited.add(start);
  pool.insert(distanceTo(query, start), start, accept(start));
  WalkOutcome outcome;
  outcome.visitedCount = 1;
  for (uint32_t slot; pool.takeNext(slot);) {
    if (options.cancelled != nullptr && options.cancelled->load(std::memory_order_relaxed) != 0) break;
    const Link* links = slots_.links(slot, level);
    if (links == nullptr) continue;
    size_t count = 0;
    for (uint32_t i = 0; i < capacity; i++) {
      const uint32_t next = links[i].load(std::memory_order_acquire);
      if (next == noSlot) break;
      if (!visited.add(next)) continue;
      const char* row = slots_.row(next);
      for (size_t at = 0; at < fetchedAhead; at += 64) __builtin_prefetch(row + at);
      scratch.slots[count] = next;
      scratch.rows[count++] = row;
    }
    distancesTo(query, count, scratch);
    for (size_t i = 0; i < count; i++) {
      if (!(scratch.distances[i] < pool.bound())) continue;
      pool.insert(scratch.distances[i], scratch.slots[i], accept(scratch.slots[i]));
      outcome.visitedCount++;
    }
    uint32_t ahead;
    if (pool.peekNext(ahead)) {
      const Link* next = slots_.links(ahead, level);
      __builtin_prefetch(next);
      __builtin_prefetch(next + 16);
    }
    if (outcome.visitedCount > options.visitMax) {
      outcome.isComplete = false;
      break;
    }
  }
  return outcome;
}

}  // namespace shoal
