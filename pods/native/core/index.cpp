// Labels and slots: see index.h.

#include "index.h"

#include "repair.h"

namespace shoal {

static constexpr uint32_t labelChunkShift = 16;
// A pass of repair is due when so many nodes are removed, and they are more than a tenth.
static constexpr size_t repairCountMin = 64;
static constexpr size_t repairShare = 10;
static constexpr size_t heapPieceBytes = 256 << 10;
// The bound over the longest vector so far, so that it seldom grows.
static constexpr float normBoundFactor = 1.5f;

Index::Index(const GraphParameters& parameters, ThreadPool& pool)
    : graph_(parameters), pool_(pool), slotByLabel_(sizeof(uint32_t), labelChunkShift) {}

void Index::growLabels(uint32_t label) {
  if (label < labelLimit_.load(std::memory_order_relaxed)) return;
  slotByLabel_.grow((size_t(label) >> labelChunkShift) + 1);
  labelLimit_.store(uint32_t(std::min<size_t>(noLabel, slotByLabel_.chunkCount() << labelChunkShift)), std::memory_order_release);
}

uint32_t Index::slotOf(uint32_t label) const {
  if (label >= labelLimit_.load(std::memory_order_acquire)) return noSlot;
  return slotPlace(label).load(std::memory_order_acquire) - 1;
}

// With `slotsMutex_` held.
uint32_t Index::takeSlot() {
  if (!freeSlots_.empty()) {
    const uint32_t slot = freeSlots_.back();
    freeSlots_.pop_back();
    return slot;
  }
  const uint32_t slot = graph_.slotCount();
  if (slot >= slotLimit) throw std::bad_alloc();
  graph_.setSlotCount(slot + 1);
  return slot;
}

std::vector<uint32_t> Index::assign(const uint32_t* labels, size_t count) {
  remove(labels, count);
  std::vector<uint32_t> slots;
  slots.reserve(count);
  try {
    std::lock_guard<std::mutex> lock(slotsMutex_);
    for (size_t i = 0; i < count; i++) {
      growLabels(labels[i]);
      // A label may be named twice: the last one counts.
      const uint32_t earlier = slotOf(labels[i]);
      if (earlier != noSlot) {
        graph_.slots().setLabel(earlier, noLabel);
        removedCount_++;
        liveCount_--;
      }
      const uint32_t slot = takeSlot();
      graph_.slots().state(slot).store(SlotState::Pending);
      graph_.slots().setLabel(slot, labels[i]);
      slotPlace(labels[i]).store(slot + 1);
      slots.push_back(slot);
      liveCount_++;
    }
  } catch (...) {
    withdraw(slots);
    throw;
  }
  return slots;
}

void Index::withdraw(const std::vector<uint32_t>& slots) {
  for (uint32_t slot : slots) {
    const uint32_t label = graph_.slots().label(slot);
    if (label != noLabel) {
      slotPlace(label).store(0);
      graph_.slots().setLabel(slot, noLabel);
      removedCount_++;
      liveCount_--;
    }
    if (graph_.slots().state(slot).load() == SlotState::Pending) release({slot});
  }
}

void Index::remove(const uint32_t* labels, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const uint32_t slot = slotOf(labels[i]);
    if (slot == noSlot) continue;
    slotPlace(labels[i]).store(0);
    graph_.slots().setLabel(slot, noLabel);
    removedCount_++;
    liveCount_--;
  }
  repairWhenDue();
}

std::vector<uint32_t> Index::labels() const {
  std::vector<uint32_t> found;
  found.reserve(liveCount_);
  const uint32_t count = graph_.slotCount();
  for (uint32_t slot = 0; slot < count; slot++) {
    const uint32_t label = graph_.slots().label(slot);
    if (label != noLabel && graph_.slots().state(slot).load() != SlotState::Free) found.push_back(label);
  }
  return found;
}

size_t Index::memoryBytes() const {
  std::lock_guard<std::mutex> lock(slotsMutex_);
  const size_t ofHeap = graph_.slots().upperBytes() + (freeSlots_.capacity() + heldSlots_.capacity()) * sizeof(uint32_t);
  // The heap takes memory from the system in large pieces.
  return graph_.memoryBytes() + slotByLabel_.memoryBytes(labelLimit_.load()) + (ofHeap + heapPieceBytes - 1) / heapPieceBytes * heapPieceBytes;
}

// With `slotsMutex_` held.
void Index::free(uint32_t slot) {
  graph_.slots().clear(slot);
  graph_.slots().state(slot).store(SlotState::Free);
  freeSlots_.push_back(slot);
}

void Index::release(const std::vector<uint32_t>& slots) {
  std::lock_guard<std::mutex> lock(slotsMutex_);
  for (uint32_t slot : slots) {
    // A slot that never became a node stays pending: an image takes nothing from it.
    if (graph_.slots().state(slot).load() == SlotState::Linked) graph_.slots().state(slot).store(SlotState::Retired);
    if (holdCount_ > 0) heldSlots_.push_back(slot);
    else free(slot);
  }
  removedCount_ -= slots.size();
}

void Index::holdSlots(bool held) {
  std::lock_guard<std::mutex> lock(slotsMutex_);
  if (held) {
    holdCount_++;
  } else if (--holdCount_ == 0) {
    for (uint32_t slot : heldSlots_) free(slot);
    heldSlots_.clear();
  }
  isHeld_.store(holdCount_ > 0);
}

LabelSnapshot Index::snapshot() const {
  LabelSnapshot snapshot;
  std::lock_guard<std::mutex> lock(slotsMutex_);
  const uint32_t count = graph_.slotCount();
  snapshot.labels.resize(count);
  snapshot.present.words.resize((size_t(count) + 63) / 64);
  for (uint32_t slot = 0; slot < count; slot++) {
    const SlotState state = graph_.slots().state(slot).load(std::memory_order_acquire);
    const uint32_t label = graph_.slots().label(slot);
    snapshot.labels[slot] = state == SlotState::Free ? noLabel : label;
    if (state == SlotState::Linked || (state == SlotState::Pending && label != noLabel)) snapshot.present.add(slot);
  }
  snapshot.entry = graph_.entry();
  snapshot.insertionCount = graph_.insertionCount();
  snapshot.normBound = normBound_.load();
  return snapshot;
}

bool Index::adopt(const std::vector<uint32_t>& labels, const SlotSet& present, float normBound) {
  std::lock_guard<std::mutex> lock(slotsMutex_);
  normBound_.store(normBound);
  for (uint32_t slot = 0; slot < labels.size(); slot++) {
    const bool isPresent = present.has(slot);
    graph_.slots().setLabel(slot, isPresent ? labels[slot] : noLabel);
    graph_.slots().state(slot).store(isPresent ? SlotState::Linked : SlotState::Free);
    if (!isPresent) {
      freeSlots_.push_back(slot);
    } else if (labels[slot] == noLabel) {
      removedCount_++;
    } else {
      if (graph_.space().metric() == Metric::Dot) {
        std::vector<float> components(graph_.space().dimension());
        graph_.space().readRow(graph_.slots().row(slot), components.data());
        graph_.slots().lift(slot).store(liftFor(components.data()));
      }
      growLabels(labels[slot]);
      if (slotOf(labels[slot]) != noSlot) return false;
      slotPlace(labels[slot]).store(slot + 1);
      liveCount_++;
    }
  }
  return true;
}

// Under dot: a vector's lift onto the sphere. A longer vector than any before makes the sphere larger, for all: their links
// stay good, because nearness among the old ones changes little, and new ones see the new lifts.
float Index::liftFor(const float* prepared) {
  const Space& space = graph_.space();
  const float squared = space.kernels().dot(prepared, prepared, space.dimension());
  float bound = normBound_.load();
  if (squared > bound * bound) {
    std::lock_guard<std::mutex> lock(normMutex_);
    bound = normBound_.load();
    if (squared > bound * bound) {
      bound = std::sqrt(squared) * normBoundFactor;
      normBound_.store(bound);
      std::vector<float> components(space.dimension());
      const uint32_t count = graph_.slotCount();
      for (uint32_t slot = 0; slot < count; slot++) {
        if (graph_.slots().state(slot).load(std::memory_order_acquire) != SlotState::Linked) continue;
        space.readRow(graph_.slots().row(slot), components.data());
        const float other = space.kernels().dot(components.data(), components.data(), space.dimension());
        graph_.slots().lift(slot).store(std::sqrt(std::max(0.0f, bound * bound - other)), std::memory_order_relaxed);
      }
    }
  }
  return std::sqrt(std::max(0.0f, bound * bound - squared));
}

void Index::repairWhenDue() {
  const size_t removed = removedCount_.load();
  if (isAbandoned() || removed < repairCountMin || removed * repairShare < graph_.slotCount()) return;
  if (isRepairing_.exchange(true)) return;
  startRepair(shared_from_this());
}

void Index::whenRepaired(std::function<void()> then) {
  {
    std::lock_guard<std::mutex> lock(repairMutex_);
    if (isRepairing_.load()) {
      repairWaiters_.push_back(std::move(then));
      return;
    }
  }
  then();
}

void Index::endRepair() {
  std::vector<std::function<void()>> waiters;
  {
    std::lock_guard<std::mutex> lock(repairMutex_);
    isRepairing_.store(false);
    waiters.swap(repairWaiters_);
  }
  for (const auto& then : waiters) then();
}

}  // namespace shoal
