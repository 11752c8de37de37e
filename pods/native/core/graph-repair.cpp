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
  for (size_t i = 0; i < candidates.size(); i++) {
    scratch.slots[i] = candidates[i];
    scratch.rows[i] = slots_.row(candidates[i]);
  }
  distancesTo(queryOf(slot), candidates.size(), scratch);
  scratch.candidates.resize(candidates.size());
  for (size_t i = 0; i < candidates.size(); i++) scratch.candidates[i] = {scratch.distances[i], candidates[i]};
  std::sort(scratch.candidates.begin(), scratch.candidates.end(), [](const Candidate& a, const Candidate& b) { return a.distance < b.distance; });
  select(scratch.candidates, capacity, scratch.selected);
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

// On upper levels too: a walk that comes down in the wrong place finds the right one at the bottom only where points lie
// close together.
size_t Graph::reconnectUnreachable(Scratch& scratch) {
  const uint64_t entry = entry_.load();
  if (entry == noEntry) return 0;
  const uint32_t count = slotCount();
  std::vector<std::vector<uint32_t>> byLevel(size_t(entry >> 32) + 1);
  for (uint32_t slot = 0; slot < count; slot++) {
    if (slots_.state(slot).load(std::memory_order_acquire) != SlotState::Linked || !slots_.isLive(slot)) continue;
    for (int level = std::min(slots_.level(slot), int(byLevel.size()) - 1); level >= 0; level--) byLevel[size_t(level)].push_back(slot);
  }
  size_t reconnected = 0;
  for (int level = int(byLevel.size()) - 1; level >= 0; level--) reconnected += reconnectUnreachable(level, byLevel[size_t(level)], scratch);
  return reconnected;
}

size_t Graph::reconnectUnreachable(int level, const std::vector<uint32_t>& nodes, Scratch& scratch) {
  const uint32_t entry = uint32_t(entry_.load());
  const uint32_t count = slotCount();
  SlotSet reached;
  reached.words.resize((size_t(count) + 63) / 64);
  std::vector<uint32_t> open;
  const auto reach = [&](uint32_t slot) {
    if (slot >= count || reached.has(slot)) return;
    reached.add(slot);
    open.push_back(slot);
  };
  const auto follow = [&] {
    while (!open.empty()) {
      const Link* links = slots_.links(open.back(), level);
      open.pop_back();
      for (uint32_t i = 0; links != nullptr && i < slots_.capacity(level); i++) {
        const uint32_t other = links[i].load(std::memory_order_acquire);
        if (other == noSlot) break;
        reach(other);
      }
    }
  };
  reach(entry);
  follow();
  size_t reconnected = 0;
  for (uint32_t slot : nodes) {
    if (reached.has(slot)) continue;
    reconnect(slot, scratch);
    ensureWayTo(slot, level);
    reach(slot);
    follow();
    reconnected++;
  }
  return reconnected;
}

void Graph::replaceEntry(const SlotSet& retired) {
  std::lock_guard<std::mutex> alone(entryMutex_);
  const uint64_t entry = entry_.load();
  if (entry == noEntry || !retired.has(uint32_t(entry))) return;
  uint64_t best = noEntry;
  const uint32_t count = slotCount();
  for (uint32_t slot = 0; slot < count; slot++) {
    if (slots_.state(slot).load(std::memory_order_acquire) != SlotState::Linked || !slots_.isLive(slot)) continue;
    const int level = slots_.level(slot);
    if (best == noEntry || level > int(best >> 32)) best = entryOf(slot, level);
  }
  entry_.store(best);
}

}  // namespace shoal
