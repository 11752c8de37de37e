// Taking removed nodes out for good. Whoever calls this has a set of *retired* slots, removed before any insertion under way
// began, so that nobody links to them any more. For every other node p:
//
//   p links to retired d  →  candidates: what p links to, and what the retired around p link to, ring by ring
//                            the same choice as at insertion; new neighbours get a link back
//
// After a pass over all nodes no list names a retired slot; when the walks that began before have ended, it is free.

#include "graph-walk.h"

namespace shoal {

// Rings are followed until there are so many candidates per place in the list, or so many nodes were looked at.
static constexpr size_t candidatesPerPlace = 2;
static constexpr size_t ringNodeMax = 2048;
static constexpr int reconnectRoundMax = 4;
// Of the walk to the nodes from which a way may lead to one that cannot be reached.
static constexpr size_t wayBreadth = 64;
static constexpr size_t wayVisitMax = 16384;

bool Graph::repairLevel(uint32_t slot, int level, const SlotSet& retired, Scratch& scratch) {
  Link* const links = slots_.links(slot, level);
  const uint32_t capacity = slots_.capacity(level);
  std::vector<uint32_t> before, ring, candidates;
  size_t lostCount = 0;
  for (uint32_t i = 0; i < capacity; i++) {
    const uint32_t other = links[i].load(std::memory_order_acquire);
    if (other == noSlot) break;
    before.push_back(other);
    if (retired.has(other)) lostCount++;
  }
  if (lostCount == 0) return true;

  VisitedSet& seen = scratch.visited;
  seen.reset(slotCount());
  seen.add(slot);
  const auto meet = [&](uint32_t other) {
    if (!seen.add(other)) return;
    if (slots_.isLive(other)) candidates.push_back(other);
    else ring.push_back(other);
  };
  for (uint32_t other : before) meet(other);
  for (size_t next = 0; next < ring.size() && next < ringNodeMax && candidates.size() < candidatesPerPlace * capacity; next++) {
    const Link* beyond = slots_.links(ring[next], level);
    if (beyond == nullptr) continue;
    for (uint32_t i = 0; i < capacity; i++) {
      const uint32_t other = beyond[i].load(std::memory_order_acquire);
      if (other == noSlot) break;
      meet(other);
    }
  }

  scratch.resizeBatch(candidates.size());
  size_t count = 0;
  for (uint32_t candidate : candidates) gather(candidate, count, scratch);
  distancesTo(queryOf(slot), count, scratch);
  scratch.candidates.resize(count);
  for (size_t i = 0; i < count; i++) scratch.candidates[i] = {scratch.distances[i], candidates[i]};
  std::sort(scratch.candidates.begin(), scratch.candidates.end(), [](const Candidate& a, const Candidate& b) { return a.distance < b.distance; });
  select(scratch.candidates, capacity, 1, scratch.selected);
  std::vector<uint32_t> chosen = scratch.selected;
  const size_t chosenCount = chosen.size();
  {
    Locked locked(*this, slot);
    for (uint32_t i = 0; i < capacity && chosen.size() < capacity; i++) {
      const uint32_t other = links[i].load(std::memory_order_relaxed);
      if (other == noSlot) break;
      // Links that came meanwhile stay, as do those to removed nodes whose time has not come.
      const bool isNew = std::find(before.begin(), before.end(), other) == before.end();
      const bool isWay = !slots_.isLive(other) && !retired.has(other);
      if ((isNew || isWay) && std::find(chosen.begin(), chosen.end(), other) == chosen.end()) chosen.push_back(other);
    }
    writeLinks(links, capacity, chosen);
    slots_.markChanged(slot, linksChanged);
  }
  for (size_t i = 0; i < chosenCount; i++) {
    if (std::find(before.begin(), before.end(), chosen[i]) == before.end()) link(chosen[i], slot, level, scratch);
  }
  return !chosen.empty() && lostCount * 2 <= before.size();
}

bool Graph::repair(uint32_t slot, const SlotSet& retired, Scratch& scratch) {
  bool isWell = true;
  for (int level = slots_.level(slot); level >= 0; level--) isWell = repairLevel(slot, level, retired, scratch) && isWell;
  return isWell;
}

// Nodes that can be reached from the entry along the links of one level.
class Graph::Reach {
 public:
  Reach(const Graph& graph, int level) : slots_(graph.slots_), level_(level), count_(graph.slotCount()) {
    reached_.words.resize((size_t(count_) + 63) / 64);
    add(uint32_t(graph.entry()));
  }

  bool has(uint32_t slot) const { return reached_.has(slot); }

  // The node, and all that it leads to.
  void add(uint32_t slot) {
    meet(slot);
    while (!open_.empty()) {
      const Link* links = slots_.links(open_.back(), level_);
      open_.pop_back();
      for (uint32_t i = 0; links != nullptr && i < slots_.capacity(level_); i++) {
        const uint32_t other = links[i].load(std::memory_order_acquire);
        if (other == noSlot) break;
        meet(other);
      }
    }
  }

 private:
  void meet(uint32_t slot) {
    if (slot >= count_ || reached_.has(slot)) return;
    reached_.add(slot);
    open_.push_back(slot);
  }

  const Slots& slots_;
  const int level_;
  const uint32_t count_;
  SlotSet reached_;
  std::vector<uint32_t> open_;
};

// On upper levels too: a walk that comes down in the wrong place finds the right one at the bottom only where points lie
// close together. A way that is made may take the place of another's only one: hence the rounds.
size_t Graph::reconnectUnreachable(Scratch& scratch) {
  if (entry_.load() == noEntry) return 0;
  const uint32_t count = slotCount();
  std::vector<std::vector<uint32_t>> byLevel(size_t(entry_.load() >> 32) + 1);
  for (uint32_t slot = 0; slot < count; slot++) {
    if (!slots_.isLiveNode(slot)) continue;
    for (int level = std::min(slots_.level(slot), int(byLevel.size()) - 1); level >= 0; level--) byLevel[size_t(level)].push_back(slot);
  }
  size_t reconnected = 0;
  for (int level = int(byLevel.size()) - 1; level >= 0; level--) {
    for (int round = 0; round < reconnectRoundMax; round++) {
      const size_t some = reconnectUnreachable(level, byLevel[size_t(level)], scratch);
      reconnected += some;
      if (some == 0) break;
    }
  }
  return reconnected;
}

size_t Graph::reconnectUnreachable(int level, const std::vector<uint32_t>& nodes, Scratch& scratch) {
  Reach reach(*this, level);
  size_t reconnected = 0;
  for (uint32_t slot : nodes) {
    if (reach.has(slot)) continue;
    reconnect(slot, scratch);
    makeWayTo(slot, level, reach, scratch);
    reach.add(slot);
    reconnected++;
  }
  return reconnected;
}

// From the nearest of the nodes that can be reached: a place that is free in one of their lists, or that of a neighbour to
// which another neighbour leads as well, or at last that of the farthest.
void Graph::makeWayTo(uint32_t slot, int level, const Reach& reach, Scratch& scratch) {
  WalkOptions options;
  options.breadth = {wayBreadth};
  options.visitMax = wayVisitMax;
  walk(queryOf(slot), uint32_t(entry_.load()), level, options, [&](uint32_t other) { return other != slot && slots_.isLive(other); }, scratch);
  collectCandidates(slot, scratch);
  const uint32_t capacity = slots_.capacity(level);
  const auto leadsTo = [&](uint32_t from, uint32_t to) {
    const Link* links = slots_.links(from, level);
    for (uint32_t i = 0; links != nullptr && i < capacity; i++) {
      const uint32_t other = links[i].load(std::memory_order_acquire);
      if (other == noSlot || other == to) return other == to;
    }
    return false;
  };
  for (const Candidate& candidate : scratch.candidates)
    if (leadsTo(candidate.slot, slot)) return;
  enum class Place { Free, OfOneWithAnotherWay, Last };
  for (const Place place : {Place::Free, Place::OfOneWithAnotherWay, Place::Last}) {
    for (const Candidate& candidate : scratch.candidates) {
      Link* const links = slots_.links(candidate.slot, level);
      if (links == nullptr || !reach.has(candidate.slot)) continue;
      Locked locked(*this, candidate.slot);
      uint32_t count = 0;
      while (count < capacity && links[count].load(std::memory_order_relaxed) != noSlot) count++;
      uint32_t at = count;
      if (place == Place::OfOneWithAnotherWay) {
        for (uint32_t i = count; i-- > 0 && at == count;) {
          const uint32_t given = links[i].load(std::memory_order_relaxed);
          for (uint32_t j = 0; j < count && at == count; j++)
            if (j != i && leadsTo(links[j].load(std::memory_order_relaxed), given)) at = i;
        }
      } else if (place == Place::Last) {
        at = capacity - 1;
      }
      if (at >= capacity) continue;
      links[at].store(slot, std::memory_order_release);
      slots_.markChanged(candidate.slot, linksChanged);
      return;
    }
  }
}

void Graph::replaceEntry(const SlotSet& retired) {
  std::lock_guard<std::mutex> alone(entryMutex_);
  const uint64_t entry = entry_.load();
  if (entry == noEntry || !retired.has(uint32_t(entry))) return;
  uint64_t best = noEntry;
  const uint32_t count = slotCount();
  for (uint32_t slot = 0; slot < count; slot++) {
    if (!slots_.isLiveNode(slot)) continue;
    const int level = slots_.level(slot);
    if (best == noEntry || level > int(best >> 32)) best = entryOf(slot, level);
  }
  entry_.store(best);
}

}  // namespace shoal
