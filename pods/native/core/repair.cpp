// The pass as jobs of the pool, so that it shares the threads with additions and never holds one for long:
//
//   collect   which nodes are removed; wait until insertions that may still link to them have ended
//   sweep     every node, in slices, by all threads; put off while an image is written, which would lose the ways to nodes
//             that were removed after its moment
//   rejoin    from another entry if it was removed, nodes that lost more than half of their neighbours look for new ones
//   settle    likewise nodes to which no way leads; wait for the walks
//   free      the slots are used again
#include "repair.h"

#include <chrono>
#include <thread>

#include "index.h"

namespace shoal {

static constexpr uint32_t sliceSlots = 256;
static constexpr size_t rejoinedPerItem = 8;
static constexpr auto waitBetweenLooks = std::chrono::microseconds(200);

struct RepairPass {
  std::shared_ptr<Index> index;
  SlotSet retired;
  std::vector<uint32_t> retiredSlots;
  std::mutex mutex;
  std::vector<uint32_t> weakened;
  std::vector<uint32_t> slices, putOff;
  uint64_t epoch = 0;
};

class RepairJob : public Job {
 public:
  enum class Step { Collect, AwaitInsertions, Sweep, AwaitImage, Rejoin, Settle, AwaitWalks, Free };

  RepairJob(std::shared_ptr<RepairPass> pass, Step step, uint32_t itemCount) : Job(Kind::Change, itemCount), pass_(std::move(pass)), step_(step) {}

  void run(uint32_t item, Scratch& scratch) override {
    if (pass_->index->isAbandoned()) return;
    Graph& graph = pass_->index->graph();
    switch (step_) {
      case Step::Collect:
        return collect();
      case Step::AwaitInsertions:
      case Step::AwaitWalks:
        isOver_ = Epochs::ofProcess().hasPassed(pass_->epoch);
        if (!isOver_) std::this_thread::sleep_for(waitBetweenLooks);
        return;
      case Step::AwaitImage:
        isOver_ = !pass_->index->isHeld();
        if (!isOver_) std::this_thread::sleep_for(waitBetweenLooks);
        return;
      case Step::Sweep: {
        if (pass_->index->isHeld()) {
          std::lock_guard<std::mutex> lock(pass_->mutex);
          pass_->putOff.push_back(pass_->slices[item]);
          return;
        }
        Epochs::Guard guard(Epochs::ofProcess());
        const uint32_t start = pass_->slices[item] * sliceSlots;
        const uint32_t end = std::min(graph.slotCount(), start + sliceSlots);
        for (uint32_t slot = start; slot < end; slot++) sweep(graph, slot, scratch);
        return;
      }
      case Step::Rejoin: {
        Epochs::Guard guard(Epochs::ofProcess());
        const size_t end = std::min(pass_->weakened.size(), (size_t(item) + 1) * rejoinedPerItem);
        for (size_t i = size_t(item) * rejoinedPerItem; i < end; i++) graph.reconnect(pass_->weakened[i], scratch);
        return;
      }
      case Step::Settle: {
        Epochs::Guard guard(Epochs::ofProcess());
        graph.reconnectUnreachable(scratch);
        pass_->epoch = Epochs::ofProcess().end();
        return;
      }
      case Step::Free:
        pass_->index->release(pass_->retiredSlots);
        return;
    }
  }

  void finish() override {
    if (pass_->index->isAbandoned()) return pass_->index->endRepair();
    switch (step_) {
      case Step::Collect:
        return go(Step::AwaitInsertions, 1);
      case Step::AwaitInsertions:
        if (!isOver_) return go(step_, 1);
        for (uint32_t slice = 0; slice * sliceSlots < pass_->index->graph().slotCount(); slice++) pass_->slices.push_back(slice);
        return go(Step::Sweep, uint32_t(pass_->slices.size()));
      case Step::Sweep:
        pass_->slices.swap(pass_->putOff);
        pass_->putOff.clear();
        if (!pass_->slices.empty()) return go(Step::AwaitImage, 1);
        pass_->index->graph().replaceEntry(pass_->retired);
        return go(Step::Rejoin, uint32_t((pass_->weakened.size() + rejoinedPerItem - 1) / rejoinedPerItem));
      case Step::Rejoin:
        return go(Step::Settle, 1);
      case Step::AwaitImage:
        return isOver_ ? go(Step::Sweep, uint32_t(pass_->slices.size())) : go(step_, 1);
      case Step::Settle:
        return go(Step::AwaitWalks, 1);
      case Step::AwaitWalks:
        return go(isOver_ ? Step::Free : step_, 1);
      case Step::Free:
        pass_->index->endRepair();
        // What was removed meanwhile may be enough for another pass.
        pass_->index->repairWhenDue();
        return;
    }
  }

 private:
  void go(Step step, uint32_t itemCount) { pass_->index->pool().submit(std::make_shared<RepairJob>(pass_, step, itemCount)); }

  void collect() {
    const Slots& slots = pass_->index->graph().slots();
    const uint32_t count = pass_->index->graph().slotCount();
    pass_->retired.words.assign((size_t(count) + 63) / 64, 0);
    for (uint32_t slot = 0; slot < count; slot++) {
      if (slots.state(slot).load(std::memory_order_acquire) != SlotState::Linked || slots.isLive(slot)) continue;
      pass_->retired.add(slot);
      pass_->retiredSlots.push_back(slot);
    }
    pass_->epoch = Epochs::ofProcess().end();
  }

  // Slots that are being made into nodes just now never link to retired ones; their rows and lists are not to be read yet.
  void sweep(Graph& graph, uint32_t slot, Scratch& scratch) {
    if (graph.slots().state(slot).load(std::memory_order_acquire) != SlotState::Linked || pass_->retired.has(slot)) return;
    if (graph.repair(slot, pass_->retired, scratch)) return;
    std::lock_guard<std::mutex> lock(pass_->mutex);
    pass_->weakened.push_back(slot);
  }

  const std::shared_ptr<RepairPass> pass_;
  const Step step_;
  bool isOver_ = false;
};

void startRepair(std::shared_ptr<Index> index) {
  auto pass = std::make_shared<RepairPass>();
  pass->index = std::move(index);
  ThreadPool& pool = pass->index->pool();
  pool.submit(std::make_shared<RepairJob>(pass, RepairJob::Step::Collect, 1));
}

}  // namespace shoal
