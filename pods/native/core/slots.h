// Where the graph's nodes lie: by slot, in chunks that never move, so that searches go on while it grows. A chunk of each
// table is a mapping of its own; those of rows and links ask for huge pages, since a search reads them at random places.
//
//   table     per slot
//   rows      the vector (space.h); written once, before the first link to the slot
//   links     neighbours at the bottom: 2m slots, ended by `noSlot` when there are fewer
//   labels    the label, or `noLabel` once it was removed: then the slot is a way through and never an answer
//   removed   a bit: whether the label is `noLabel`. Walks ask it of every candidate, and the bits of a million slots stay in a
//             processor's second cache
//   states    free → pending (handed out) → linked → retired (no way leads to it any more) → free
//   uppers    null, or {level, m slots for each level from 1 up}
//   lifts     under dot only: see space.h
//   changes   whether row or links changed since the last image was written (image.h)
//
// A slot's row and links may be read by whoever came to it through a link, or saw it `linked`; until the epoch in which it
// was reached has ended (epochs.h) it is not used again.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "prefetch.h"

namespace shoal {

constexpr uint32_t noSlot = 0xffffffff;
constexpr uint32_t noLabel = 0xffffffff;
constexpr uint32_t slotLimit = 1u << 30;
constexpr size_t chunkLimit = 1 << 16;

constexpr uint8_t linksChanged = 1;
constexpr uint8_t rowChanged = 2;

enum class SlotState : uint8_t { Free = 0, Pending = 1, Linked = 2, Retired = 3 };

using Link = std::atomic<uint32_t>;

// Links of one node above the bottom: level 1 first, each `m` wide.
struct UpperLinks {
  uint32_t level;
  Link links[1];
};

// Zeroed memory outside the heap, aligned to huge pages where it is large; throws std::bad_alloc.
void* mapMemory(size_t bytes);
void unmapMemory(void* memory, size_t bytes);

// One table: `bytesPerSlot` for each of `1 << shift` slots a chunk.
class ChunkTable {
 public:
  ChunkTable(size_t bytesPerSlot, uint32_t shift);
  ~ChunkTable();
  ChunkTable(const ChunkTable&) = delete;

  char* at(uint32_t slot) const {
    return chunks_[slot >> shift_].load(std::memory_order_relaxed) + size_t(slot & mask_) * bytesPerSlot_;
  }
  void grow(size_t chunkCount);
  size_t chunkCount() const { return chunkCount_; }
  // Of what was touched: pages of a chunk that no slot has come to yet are no memory.
  size_t memoryBytes(size_t slotCount) const;
  size_t slotsPerChunk() const { return size_t(1) << shift_; }
  size_t bytesPerSlot() const { return bytesPerSlot_; }

 private:
  const size_t bytesPerSlot_;
  const uint32_t shift_;
  const uint32_t mask_;
  const size_t chunkBytes_;
  size_t chunkCount_ = 0;
  const std::unique_ptr<std::atomic<char*>[]> chunks_;
};

class Slots {
 public:
  Slots(size_t rowBytes, uint32_t m, bool hasLifts);
  ~Slots();

  // Makes room for slots below `count`. By one thread at a time.
  void grow(uint32_t count);
  // Without upper lists, which lie on the heap.
  size_t memoryBytes(uint32_t slotCount) const;
  size_t upperBytes() const { return upperBytes_.load(std::memory_order_relaxed); }

  uint32_t m() const { return m_; }
  char* row(uint32_t slot) const { return rows_.at(slot); }
  void prefetchRow(uint32_t slot) const { prefetchVector(rows_.at(slot), rows_.bytesPerSlot()); }
  uint32_t capacity(int level) const { return level == 0 ? 2 * m_ : m_; }
  Link* bottomLinks(uint32_t slot) const { return reinterpret_cast<Link*>(links_.at(slot)); }
  // Null when the node does not reach the level.
  Link* links(uint32_t slot, int level) const {
    if (level == 0) return bottomLinks(slot);
    UpperLinks* upper = uppers(slot).load(std::memory_order_acquire);
    return upper == nullptr || int(upper->level) < level ? nullptr : upper->links + size_t(level - 1) * m_;
  }
  void prefetchLinks(uint32_t slot, int level) const { prefetchVector(links(slot, level), capacity(level) * sizeof(Link)); }
  void prefetchLabel(uint32_t slot) const { __builtin_prefetch(labels_.at(slot)); }
  int level(uint32_t slot) const {
    const UpperLinks* upper = uppers(slot).load(std::memory_order_acquire);
    return upper == nullptr ? 0 : int(upper->level);
  }
  uint32_t label(uint32_t slot) const { return labelPlace(slot).load(std::memory_order_acquire); }
  // By one thread at a time for each slot.
  void setLabel(uint32_t slot, uint32_t label);
  std::atomic<SlotState>& state(uint32_t slot) const { return *reinterpret_cast<std::atomic<SlotState>*>(states_.at(slot)); }
  std::atomic<float>& lift(uint32_t slot) const { return *reinterpret_cast<std::atomic<float>*>(lifts_.at(slot)); }
  // After the change was made: whoever takes the mark reads what was written before it.
  void markChanged(uint32_t slot, uint8_t what) { changes(slot).fetch_or(what); }
  uint8_t takeChanges(uint32_t slot) const { return changes(slot).exchange(0); }
  bool isLive(uint32_t slot) const { return ((removedWord(slot).load(std::memory_order_acquire) >> (slot & 63)) & 1) == 0; }
  bool isLiveNode(uint32_t slot) const { return state(slot).load(std::memory_order_acquire) == SlotState::Linked && isLive(slot); }

  // Empties the bottom list and gives the node its upper lists. Before the first link to it.
  void reset(uint32_t slot, int level);
  void clear(uint32_t slot);
  size_t bytesOfUpper(int level) const { return sizeof(uint32_t) * (1 + size_t(level) * m_); }

 private:
  std::atomic<uint32_t>& labelPlace(uint32_t slot) const { return *reinterpret_cast<std::atomic<uint32_t>*>(labels_.at(slot)); }
  std::atomic<uint64_t>& removedWord(uint32_t slot) const { return *reinterpret_cast<std::atomic<uint64_t>*>(removed_.at(slot / 64)); }
  std::atomic<uint8_t>& changes(uint32_t slot) const { return *reinterpret_cast<std::atomic<uint8_t>*>(changes_.at(slot)); }
  std::atomic<UpperLinks*>& uppers(uint32_t slot) const { return *reinterpret_cast<std::atomic<UpperLinks*>*>(uppers_.at(slot)); }

  const uint32_t m_;
  ChunkTable rows_, links_, labels_, states_, uppers_, lifts_, changes_;
  // By word of 64 slots.
  ChunkTable removed_;
  std::atomic<size_t> upperBytes_{0};
};

}  // namespace shoal
