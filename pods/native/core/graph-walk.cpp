// Walks: down the upper levels by the nearest neighbour, then at the bottom from the nearest candidate on until all
// candidates within the breadth have had their neighbours looked at.
//
// A search without a filter stops at a distance instead of a number of candidates, so that easy queries cost less and hard
// ones find more (graph-breadth.cpp).
//
// Under a filter there are two ways. When it allows much, the walk is the same, and nodes that are no answers are ways
// through. When it allows little, most distances would be of such nodes; so a neighbour that is not allowed gives way to its
// own neighbours, as in ACORN's search (Patel et al., arXiv:2403.04871), and only distances to allowed ones are computed.
// Where there are too few of those, the walk goes on through the others until it has come to a place where there are more.

#include "graph-walk.h"

namespace shoal {

// Below this share of allowed nodes their neighbours' neighbours are looked at.
static constexpr double twoHopSelectivity = 0.25;

void Graph::distancesTo(const Query& query, size_t count, Scratch& scratch) const {
  space_.distances(query, scratch.rows.data(), count, scratch.distances.data());
  if (query.lift == 0) return;
  for (size_t i = 0; i < count; i++) scratch.distances[i] -= query.lift * liftOf(scratch.slots[i]);
}

uint32_t Graph::descend(const Query& query, uint32_t slot, int from, int to, Scratch& scratch) const {
  scratch.resizeBatch(slots_.capacity(0));
  float nearest = distanceTo(query, slot);
  for (int level = from; level > to; level--) {
    for (bool moved = true; moved;) {
      moved = false;
      const Link* links = slots_.links(slot, level);
      if (links == nullptr) break;
      size_t count = 0;
      for (uint32_t i = 0; i < slots_.capacity(level); i++) {
        const uint32_t next = links[i].load(std::memory_order_acquire);
        if (next == noSlot) break;
        gather(next, count, scratch);
      }
      distancesTo(query, count, scratch);
      for (size_t i = 0; i < count; i++) {
        if (scratch.distances[i] >= nearest) continue;
        nearest = scratch.distances[i];
        slot = scratch.slots[i];
        moved = true;
      }
    }
  }
  return slot;
}

WalkOutcome Graph::walkAllowed(const Query& query, uint32_t start, const WalkOptions& options, Scratch& scratch) const {
  NearestPool& pool = scratch.pool;
  VisitedSet& visited = scratch.visited;
  const uint32_t capacity = slots_.capacity(0);
  // Enough allowed ones for one step of the walk: then no more lists are read.
  const size_t wanted = capacity;
  scratch.resizeBatch(2 * capacity);
  visited.reset(slotCount());
  pool.reset(options.breadth);
  const auto isAllowed = [&](uint32_t slot) { return options.filter->has(slots_.label(slot)); };
  visited.add(start);
  pool.insert(distanceTo(query, start), start, isAllowed(start));
  WalkOutcome outcome;
  outcome.visitedCount = 1;
  std::vector<uint32_t>& refused = scratch.selected;
  for (uint32_t slot; pool.takeNext(slot);) {
    if (options.cancelled != nullptr && options.cancelled->load(std::memory_order_relaxed) != 0) break;
    size_t count = 0;
    refused.clear();
    const Link* links = slots_.bottomLinks(slot);
    for (uint32_t i = 0; i < capacity; i++) {
      const uint32_t next = links[i].load(std::memory_order_acquire);
      if (next == noSlot) break;
      if (isAllowed(next)) {
        if (visited.add(next)) gather(next, count, scratch);
      } else {
        // Not marked as seen: it may still have to be a way through.
        refused.push_back(next);
        slots_.prefetchLinks(next, 0);
      }
    }
    for (size_t r = 0; r < refused.size() && count < wanted; r++) {
      const Link* beyond = slots_.bottomLinks(refused[r]);
      for (uint32_t i = 0; i < capacity && count < wanted; i++) {
        const uint32_t next = beyond[i].load(std::memory_order_acquire);
        if (next == noSlot) break;
        if (isAllowed(next) && visited.add(next)) gather(next, count, scratch);
      }
    }
    const size_t allowedCount = count;
    if (pool.answerCount() < options.breadth.most && allowedCount < slots_.m() / 2) {
      for (uint32_t next : refused)
        if (visited.add(next)) gather(next, count, scratch);
    }
    uint32_t ahead;
    if (pool.peekNext(ahead)) slots_.prefetchLinks(ahead, 0);
    distancesTo(query, count, scratch);
    for (size_t i = 0; i < count; i++) {
      if (!(scratch.distances[i] < pool.bound())) continue;
      pool.insert(scratch.distances[i], scratch.slots[i], i < allowedCount && isAllowed(scratch.slots[i]));
      outcome.visitedCount++;
    }
    if (outcome.visitedCount > options.visitMax) {
      outcome.isComplete = false;
      break;
    }
  }
  return outcome;
}

WalkOutcome Graph::search(const Query& query, const WalkOptions& options, Scratch& scratch) const {
  const uint64_t entry = entry_.load();
  scratch.pool.reset(options.breadth);
  if (entry == noEntry) return {};
  const uint32_t start = descend(query, uint32_t(entry), int(entry >> 32), 0, scratch);
  if (options.filter == nullptr) {
    return walk(query, start, 0, options, [&](uint32_t slot) { return slots_.isLive(slot); }, scratch);
  }
  if (options.selectivity < twoHopSelectivity) return walkAllowed(query, start, options, scratch);
  const auto accept = [&](uint32_t slot) { return options.filter->has(slots_.label(slot)); };
  return walk(query, start, 0, options, accept, scratch);
}


}  // namespace shoal
