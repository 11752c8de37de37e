// The graph: Hierarchical Navigable Small World (Malkov and Yashunin, arXiv:1603.09320), made for searches beside
// insertions and removals.
//
//   - Nodes never move (slots.h). A list of links is read without a lock while somebody writes it: a reader may meet a
//     mixture of the old and the new list, each link of which leads to a node that can be read.
//   - Whoever writes a list holds its lock, one of a few thousand that slots share; nobody holds two.
//   - A removed node loses its label, and stays as a way through. A repair pass joins the nodes around it and takes the
//     last link to it away; it is used again after every walk that had begun by then (graph-repair.cpp, epochs.h).
//
// Callers hold an `Epochs::Guard` in every call that walks.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "epochs.h"
#include "exact-rows.h"
#include "scratch.h"
#include "slots.h"
#include "space.h"

namespace shoal {

struct GraphParameters {
  uint32_t dimension;
  Metric metric;
  Storage storage;
  uint32_t m;
  uint32_t efConstruction;
  // Where a quantised index keeps its vectors as they were given; empty: nowhere.
  std::string exactDirectory = {};
};

// Bits by label; labels past the end are not in it.
struct LabelFilter {
  const uint32_t* words = nullptr;
  size_t wordCount = 0;
  bool has(uint32_t label) const {
    const size_t word = label >> 5;
    return word < wordCount && ((words[word] >> (label & 31)) & 1) != 0;
  }
};

// Bits by slot.
struct SlotSet {
  std::vector<uint64_t> words;
  bool has(uint32_t slot) const { return (slot >> 6) < words.size() && ((words[slot >> 6] >> (slot & 63)) & 1) != 0; }
  void add(uint32_t slot) { words[slot >> 6] |= uint64_t(1) << (slot & 63); }
  void remove(uint32_t slot) { words[slot >> 6] &= ~(uint64_t(1) << (slot & 63)); }
};

struct WalkOptions {
  Breadth breadth;
  // Null: every label that is not removed.
  const LabelFilter* filter = nullptr;
  // Share of the nodes that the filter allows, for the choice of the way (graph-walk.cpp).
  double selectivity = 1;
  // Gives up after this many nodes were near enough to be candidates.
  size_t visitMax = SIZE_MAX;
  const std::atomic<int32_t>* cancelled = nullptr;
};

struct WalkOutcome {
  size_t visitedCount = 0;
  bool isComplete = true;
};

class Graph {
 public:
  explicit Graph(const GraphParameters& parameters);

  const Space& space() const { return space_; }
  Slots& slots() { return slots_; }
  const Slots& slots() const { return slots_; }
  const GraphParameters& parameters() const { return parameters_; }
  // Null when the rows themselves are exact.
  ExactRows* exactRows() const { return exactRows_.get(); }
  size_t exactBytes() const { return exactRows_ == nullptr ? 0 : exactRows_->rowBytes(); }
  size_t memoryBytes() const { return slots_.memoryBytes(slotCount()) + lockCount * sizeof(Lock); }

  // Slots below are allocated; walks look at no others.
  uint32_t slotCount() const { return slotCount_.load(std::memory_order_acquire); }
  void setSlotCount(uint32_t count);

  // Of a search without a filter for the k nearest that on average is to look at the neighbours of `ef` candidates.
  Breadth breadthOf(size_t ef, size_t k) const;
  // After insertions, and when the graph was loaded: measures what `breadthOf` goes by, if there were enough since the last time.
  void measureGrowthWhenDue(Scratch& scratch);

  // Fills `scratch.pool` with the nearest answers.
  WalkOutcome search(const Query& query, const WalkOptions& options, Scratch& scratch) const;

  // Makes the slot, whose row is written and whose label is set, a node. By any number of threads at once.
  void insert(uint32_t slot, float lift, Scratch& scratch);

  // Takes the links to retired nodes away from this one, and joins it with the nodes around them.
  // False when it lost so many neighbours that it should look for others from the entry on.
  bool repair(uint32_t slot, const SlotSet& retired, Scratch& scratch);
  // Looks for neighbours from the entry on.
  void reconnect(uint32_t slot, Scratch& scratch);
  // Reconnects what cannot be reached from the entry along the links of one level; returns how many nodes that were.
  size_t reconnectUnreachable(Scratch& scratch);
  // Another entry, when the one there is was retired.
  void replaceEntry(const SlotSet& retired);

  uint64_t entry() const { return entry_.load(); }
  void setEntry(uint64_t entry) { entry_.store(entry); }
  static constexpr uint64_t noEntry = UINT64_MAX;
  static uint64_t entryOf(uint32_t slot, int level) { return uint64_t(level) << 32 | slot; }

  // Of the level generator, so that a loaded graph goes on where the stored one was.
  uint64_t insertionCount() const { return insertionCount_.load(); }
  void setInsertionCount(uint64_t count) { insertionCount_.store(count); }

 private:
  struct alignas(4) Lock {
    std::atomic<uint32_t> held{0};
  };
  class Locked {
   public:
    Locked(Graph& graph, uint32_t slot);
    ~Locked() { lock_.held.store(0, std::memory_order_release); }

   private:
    Lock& lock_;
  };
  static constexpr size_t lockCount = 4096;
  static constexpr uint64_t firstMeasureAt = 1024;

  // Beside removals that no repair has followed yet, a walk would go through all of them.
  size_t constructionVisitMax() const { return 64ul * parameters_.efConstruction + 4096; }

  float liftOf(uint32_t slot) const { return lifted_ ? slots_.lift(slot).load(std::memory_order_relaxed) : 0; }
  Query queryOf(uint32_t slot) const { return space_.ofRow(slots_.row(slot), liftOf(slot)); }
  float distanceTo(const Query& query, uint32_t slot) const {
    return space_.distance(query, slots_.row(slot)) - query.lift * liftOf(slot);
  }
  // One more of the rows in `scratch` to which `distancesTo` computes distances.
  void gather(uint32_t slot, size_t& count, Scratch& scratch) const {
    slots_.prefetchRow(slot);
    scratch.slots[count] = slot;
    scratch.rows[count++] = slots_.row(slot);
  }
  void distancesTo(const Query& query, size_t count, Scratch& scratch) const;

  uint32_t descend(const Query& query, uint32_t slot, int from, int to, Scratch& scratch) const;
  template <class Accept>
  WalkOutcome walk(const Query& query, uint32_t start, int level, const WalkOptions& options, const Accept& accept, Scratch& scratch) const;
  WalkOutcome walkAllowed(const Query& query, uint32_t start, const WalkOptions& options, Scratch& scratch) const;

  void collectCandidates(uint32_t except, Scratch& scratch) const;
  void select(const std::vector<Candidate>& candidates, size_t count, float slack, std::vector<uint32_t>& selected) const;
  static void fill(const std::vector<Candidate>& candidates, size_t count, std::vector<uint32_t>& chosen);
  void link(uint32_t from, uint32_t to, int level, Scratch& scratch);
  void writeLinks(Link* links, size_t capacity, const std::vector<uint32_t>& slots);
  bool repairLevel(uint32_t slot, int level, const SlotSet& retired, Scratch& scratch);
  class Reach;
  void makeWayTo(uint32_t slot, int level, const Reach& reach, Scratch& scratch);
  void measureGrowth(Scratch& scratch);
  size_t reconnectUnreachable(int level, const std::vector<uint32_t>& nodes, Scratch& scratch);
  void join(uint32_t slot, const Query& query, uint32_t start, int startLevel, int level, Scratch& scratch);
  int nextLevel();
  // Another node that is not removed; `noSlot` when there is none.
  uint32_t anyLive(uint32_t except);

  const GraphParameters parameters_;
  const bool lifted_;
  const Space space_;
  Slots slots_;
  const std::unique_ptr<ExactRows> exactRows_;
  std::atomic<uint32_t> slotCount_{0};
  std::atomic<uint64_t> entry_{noEntry};
  std::atomic<uint64_t> insertionCount_{0};
  // How fast distances grow with the number of neighbours, and after how many insertions to measure that again.
  std::atomic<float> growth_{0};
  std::atomic<uint64_t> nextMeasureAt_{firstMeasureAt};
  std::mutex entryMutex_;
  // Where to look first for a node that is not removed.
  std::atomic<uint32_t> lastLive_{0};
  const std::unique_ptr<Lock[]> locks_;
};

}  // namespace shoal
