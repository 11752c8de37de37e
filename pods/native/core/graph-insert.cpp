// Insertion: a node looks for its neighbours from the top down, chooses among the nearest those that are nearer to it than
// to one another (algorithm 4 of the paper), keeps half as many as its degree in any case, and is put into their lists, where
// the same choice makes room.
//
// Its own neighbours it gives up only for others that stand before them by a tenth, as in Vamana (Subramanya et al., NeurIPS
// 2019): lists are fuller, and a walk compares fewer rows for the same recall. Where room is made the paper's choice holds, which
// makes more of it: else new nodes would find every list around them full, and soon nothing would lead to them.

#include <sched.h>

#include <algorithm>
#include <cmath>

#include "graph-walk.h"

namespace shoal {

static constexpr int levelMax = 16;
static constexpr float choiceSlack = 1.1f;

Graph::Graph(const GraphParameters& parameters)
    : parameters_(parameters),
      lifted_(parameters.metric == Metric::Dot),
      space_(parameters.dimension, parameters.metric, parameters.storage),
      slots_(space_.rowBytes(), parameters.m, lifted_),
      exactRows_(parameters.storage == Storage::Float || parameters.exactDirectory.empty()
                     ? nullptr
                     : new ExactRows(parameters.dimension * sizeof(float), parameters.exactDirectory)),
      locks_(new Lock[lockCount]) {}

void Graph::setSlotCount(uint32_t count) {
  slots_.grow(count);
  if (exactRows_ != nullptr) exactRows_->grow(count);
  slotCount_.store(count, std::memory_order_release);
}

Graph::Locked::Locked(Graph& graph, uint32_t slot) : lock_(graph.locks_[(slot * 0x9e3779b1u) >> 20]) {
  for (int attempt = 0; lock_.held.exchange(1, std::memory_order_acquire) != 0; attempt++) {
    // Whoever holds it may have been put off its processor.
    if (attempt > 64) sched_yield();
  }
}

// Geometric, as the paper has it, from a hash of a counter: the same insertions give the same levels.
int Graph::nextLevel() {
  uint64_t x = insertionCount_.fetch_add(1) * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  const double uniform = (double((x ^ (x >> 31)) >> 11) + 1) / 9007199254740993.0;
  return std::min(levelMax, int(-std::log(uniform) / std::log(double(parameters_.m))));
}

void Graph::collectCandidates(uint32_t except, Scratch& scratch) const {
  scratch.candidates.clear();
  scratch.pool.forEachAnswer([&](float distance, uint32_t slot) {
    if (slot != except) scratch.candidates.push_back({distance, slot});
  });
}

// `candidates`: nearest first. One gives way to another whose distance to it, times `slack`, is below its own.
void Graph::select(const std::vector<Candidate>& candidates, size_t count, float slack, std::vector<uint32_t>& selected) const {
  selected.clear();
  for (const Candidate& candidate : candidates) {
    if (selected.size() >= count) return;
    const Query query = queryOf(candidate.slot);
    bool isNearer = true;
    for (size_t i = 0; i < selected.size() && isNearer; i++) isNearer = distanceTo(query, selected[i]) * slack >= candidate.distance;
    if (isNearer) selected.push_back(candidate.slot);
  }
}

// Up to so many, with the nearest that were not chosen. Where one direction leads to all others, as it does to a vector much longer
// than those around it, the choice leaves a node with one or two neighbours, and soon with no way to it.
void Graph::fill(const std::vector<Candidate>& candidates, size_t count, std::vector<uint32_t>& chosen) {
  for (size_t i = 0; i < candidates.size() && chosen.size() < count; i++)
    if (std::find(chosen.begin(), chosen.end(), candidates[i].slot) == chosen.end()) chosen.push_back(candidates[i].slot);
}

void Graph::writeLinks(Link* links, size_t capacity, const std::vector<uint32_t>& slots) {
  for (size_t i = 0; i < capacity; i++) links[i].store(i < slots.size() ? slots[i] : noSlot, std::memory_order_release);
}

void Graph::link(uint32_t from, uint32_t to, int level, Scratch& scratch) {
  Link* links = slots_.links(from, level);
  if (links == nullptr) return;
  const uint32_t capacity = slots_.capacity(level);
  Locked locked(*this, from);
  uint32_t taken = 0;
  for (; taken < capacity; taken++) {
    const uint32_t slot = links[taken].load(std::memory_order_relaxed);
    if (slot == noSlot) break;
    if (slot == to) return;
  }
  if (taken < capacity) {
    links[taken].store(to, std::memory_order_release);
    slots_.markChanged(from, linksChanged);
    return;
  }
  scratch.resizeBatch(capacity + 1);
  size_t count = 0;
  for (uint32_t i = 0; i < capacity; i++) gather(links[i].load(std::memory_order_relaxed), count, scratch);
  gather(to, count, scratch);
  distancesTo(queryOf(from), count, scratch);
  std::vector<Candidate>& candidates = scratch.candidates;
  candidates.resize(count);
  for (size_t i = 0; i < count; i++) candidates[i] = {scratch.distances[i], scratch.slots[i]};
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) { return a.distance < b.distance; });
  select(candidates, capacity, 1, scratch.selected);
  writeLinks(links, capacity, scratch.selected);
  slots_.markChanged(from, linksChanged);
}

void Graph::join(uint32_t slot, const Query& query, uint32_t start, int startLevel, int level, Scratch& scratch) {
  WalkOptions options;
  options.breadth = {parameters_.efConstruction};
  options.visitMax = constructionVisitMax();
  if (startLevel > level) start = descend(query, start, startLevel, level, scratch);
  std::vector<uint32_t> chosen;
  for (int at = std::min(level, startLevel); at >= 0; at--) {
    walk(query, start, at, options, [&](uint32_t other) { return other != slot && slots_.isLive(other); }, scratch);
    collectCandidates(slot, scratch);
    if (scratch.candidates.empty()) continue;
    start = scratch.candidates.front().slot;
    // Distances under dot have no zero of which they could be multiples.
    select(scratch.candidates, parameters_.m, lifted_ ? 1 : choiceSlack, scratch.selected);
    chosen = scratch.selected;
    fill(scratch.candidates, parameters_.m / 2, chosen);
    {
      Locked locked(*this, slot);
      Link* own = slots_.links(slot, at);
      // Others may have linked to this one already, and been linked back.
      for (uint32_t i = 0; i < slots_.capacity(at) && chosen.size() < slots_.capacity(at); i++) {
        const uint32_t other = own[i].load(std::memory_order_relaxed);
        if (other == noSlot) break;
        if (slots_.isLive(other) && std::find(chosen.begin(), chosen.end(), other) == chosen.end()) chosen.push_back(other);
      }
      writeLinks(own, slots_.capacity(at), chosen);
      slots_.markChanged(slot, linksChanged);
    }
    for (uint32_t other : chosen) slots_.prefetchLinks(other, at);
    for (uint32_t other : chosen) link(other, slot, at, scratch);
  }
}

void Graph::insert(uint32_t slot, float lift, Scratch& scratch) {
  const int level = nextLevel();
  slots_.reset(slot, level);
  slots_.markChanged(slot, rowChanged | linksChanged);
  if (lifted_) slots_.lift(slot).store(lift, std::memory_order_relaxed);
  const Query query = queryOf(slot);
  uint64_t entry = entry_.load();
  // A first node, and a new top, wait for each other; everybody else goes on.
  std::unique_lock<std::mutex> alone(entryMutex_, std::defer_lock);
  if (entry == noEntry || level > int(entry >> 32)) {
    alone.lock();
    entry = entry_.load();
    if (entry == noEntry) {
      entry_.store(entryOf(slot, level));
      return;
    }
  }
  join(slot, query, uint32_t(entry), int(entry >> 32), level, scratch);
  if (alone.owns_lock() && level > int(entry >> 32)) {
    entry_.store(entryOf(slot, level));
    return;
  }
  if (slots_.bottomLinks(slot)[0].load() != noSlot) return;
  // It met none but removed nodes. With any other that lives it stays within reach; alone, it begins the graph anew.
  if (!alone.owns_lock()) alone.lock();
  const uint32_t other = anyLive(slot);
  if (other == noSlot) entry_.store(entryOf(slot, level));
  else join(slot, query, other, 0, 0, scratch);
}

uint32_t Graph::anyLive(uint32_t except) {
  const uint32_t count = slotCount();
  const uint32_t start = lastLive_.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t slot = (start + i) % count;
    if (slot == except || !slots_.isLiveNode(slot)) continue;
    lastLive_.store(slot, std::memory_order_relaxed);
    return slot;
  }
  return noSlot;
}

void Graph::reconnect(uint32_t slot, Scratch& scratch) {
  const uint64_t entry = entry_.load();
  if (entry == noEntry || uint32_t(entry) == slot) return;
  join(slot, queryOf(slot), uint32_t(entry), int(entry >> 32), slots_.level(slot), scratch);
}

}  // namespace shoal
