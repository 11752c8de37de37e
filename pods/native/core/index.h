// An index over labels: the graph, which slot has which label, and the work on both.
//
// One thread, the owner, calls everything that is not said to be a job's. What it asks for by `add` and `remove` is so at
// once as far as labels go: a slot belongs to a label from the call on, and a removed label is never an answer of a search
// that begins later. The walks and distances are done by the pool's threads.
#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include "graph.h"
#include "thread-pool.h"

namespace shoal {

// Which slot had which label at one moment, for a checkpoint: nothing waits while it is written.
struct LabelSnapshot {
  std::vector<uint32_t> labels;
  // Slots that were nodes then, or became so for a label that they had then.
  SlotSet present;
  uint64_t entry = Graph::noEntry;
  uint64_t insertionCount = 0;
  float normBound = 0;
};

class Index : public std::enable_shared_from_this<Index> {
 public:
  Index(const GraphParameters& parameters, ThreadPool& pool);

  // Slots for the labels, pending: an `AddJob` (jobs.h) makes them nodes. For lack of memory or disk it throws, and none is
  // present.
  std::vector<uint32_t> assign(const uint32_t* labels, size_t count);
  // Slots that an `AddJob` failed to make nodes of: their labels are not present any more.
  void withdraw(const std::vector<uint32_t>& slots);
  // Labels that are not present are passed over.
  void remove(const uint32_t* labels, size_t count);

  // Labels present and not removed.
  size_t size() const { return liveCount_; }
  std::vector<uint32_t> labels() const;
  size_t memoryBytes() const;
  // Nodes that are only ways through, until they are repaired.
  size_t removedCount() const { return removedCount_.load(); }
  bool isRepairing() const { return isRepairing_.load(); }
  // Calls at once, or when the pass under way has ended.
  void whenRepaired(std::function<void()> then);

  Graph& graph() { return graph_; }
  const Graph& graph() const { return graph_; }
  ThreadPool& pool() { return pool_; }

  // Nobody wants it any more: jobs under way end without doing their work.
  void abandon() { isAbandoned_.store(true); }
  bool isAbandoned() const { return isAbandoned_.load(std::memory_order_relaxed); }

  // While held, no slot becomes free, so that what an image is written from stays what it was.
  void holdSlots(bool held);
  bool isHeld() const { return isHeld_.load(); }
  LabelSnapshot snapshot() const;
  // Of a loaded graph: puts labels, states and counts in order. False when a label has two slots.
  bool adopt(const std::vector<uint32_t>& labels, const SlotSet& present, float normBound);

  // For jobs.
  uint32_t slotOf(uint32_t label) const;
  void release(const std::vector<uint32_t>& slots);
  float liftFor(const float* prepared);
  float normBound() const { return normBound_.load(); }

 private:
  friend class RepairJob;
  uint32_t takeSlot();
  void free(uint32_t slot);
  void growLabels(uint32_t label);
  std::atomic<uint32_t>& slotPlace(uint32_t label) const { return *reinterpret_cast<std::atomic<uint32_t>*>(slotByLabel_.at(label)); }
  void repairWhenDue();
  void endRepair();

  Graph graph_;
  ThreadPool& pool_;
  // Slot + 1 by label; 0 is none.
  ChunkTable slotByLabel_;
  std::atomic<uint32_t> labelLimit_{0};
  size_t liveCount_ = 0;
  std::atomic<size_t> removedCount_{0};
  std::atomic<bool> isRepairing_{false};
  std::atomic<bool> isAbandoned_{false};

  mutable std::mutex slotsMutex_;
  std::vector<uint32_t> freeSlots_;
  std::vector<uint32_t> heldSlots_;
  uint32_t holdCount_ = 0;
  std::atomic<bool> isHeld_{false};

  std::mutex repairMutex_;
  std::vector<std::function<void()>> repairWaiters_;

  std::mutex normMutex_;
  std::atomic<float> normBound_{0};
};

}  // namespace shoal
