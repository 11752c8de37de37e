// The walk on one level, as a template over what counts as an answer: searches and insertions ask differently.
#pragma once

#include "graph.h"

namespace shoal {

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
      if (visited.add(next)) gather(next, count, scratch);
    }
    // Mostly none of these is nearer than the next candidate, and its links are there when they are wanted.
    uint32_t ahead;
    if (pool.peekNext(ahead)) slots_.prefetchLinks(ahead, level);
    distancesTo(query, count, scratch);
    for (size_t i = 0; i < count; i++) {
      if (!(scratch.distances[i] < pool.bound())) continue;
      pool.insert(scratch.distances[i], scratch.slots[i], accept(scratch.slots[i]));
      outcome.visitedCount++;
    }
    if (outcome.visitedCount > options.visitMax) {
      outcome.isComplete = false;
      break;
    }
  }
  return outcome;
}

}  // namespace shoal
