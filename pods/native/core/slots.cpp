// Memory of the tables: see slots.h.

#include "slots.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace shoal {

static constexpr size_t hugePageBytes = 2 << 20;
static constexpr size_t rowChunkBytes = 16 << 20;

void* mapMemory(size_t bytes) {
  const bool large = bytes >= hugePageBytes;
  const size_t extra = large ? hugePageBytes : 0;
  void* mapped = mmap(nullptr, bytes + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  if (!large) return mapped;
  char* start = static_cast<char*>(mapped);
  char* aligned = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(start) + hugePageBytes - 1) & ~uintptr_t(hugePageBytes - 1));
  if (aligned > start) munmap(start, size_t(aligned - start));
  const size_t behind = extra - size_t(aligned - start);
  if (behind > 0) munmap(aligned + bytes, behind);
#ifdef MADV_HUGEPAGE
  // What is left behind the last whole one lies in small pages: a huge page would be taken for it entirely.
  madvise(aligned, bytes / hugePageBytes * hugePageBytes, MADV_HUGEPAGE);
#endif
  return aligned;
}

void unmapMemory(void* memory, size_t bytes) { munmap(memory, bytes); }

static size_t roundedUp(size_t bytes) { return (bytes + 4095) / 4096 * 4096; }

// As many slots as fit rows of about 16 MiB: a power of two.
static uint32_t shiftFor(size_t rowBytes) {
  uint32_t shift = 10;
  while (shift < 15 && (rowBytes << (shift + 1)) <= rowChunkBytes) shift++;
  return shift;
}

ChunkTable::ChunkTable(size_t bytesPerSlot, uint32_t shift)
    : bytesPerSlot_(bytesPerSlot),
      shift_(shift),
      mask_((1u << shift) - 1),
      chunkBytes_(roundedUp(bytesPerSlot << shift)),
      chunks_(new std::atomic<char*>[bytesPerSlot == 0 ? 1 : chunkLimit]()) {}

ChunkTable::~ChunkTable() {
  for (size_t i = 0; i < chunkCount_; i++) unmapMemory(chunks_[i].load(), chunkBytes_);
}

size_t ChunkTable::memoryBytes(size_t slotCount) const {
  if (chunkCount_ == 0) return 0;
  // The system gives large chunks by the huge page, small ones are counted whole.
  const size_t unit = std::min(chunkBytes_, hugePageBytes);
  const size_t touched = (slotCount >> shift_) * chunkBytes_ + (slotCount & mask_) * bytesPerSlot_;
  return std::min(chunkCount_ * chunkBytes_, (touched + unit - 1) / unit * unit);
}

void ChunkTable::grow(size_t chunkCount) {
  if (bytesPerSlot_ == 0) return;
  if (chunkCount > chunkLimit) throw std::bad_alloc();
  for (; chunkCount_ < chunkCount; chunkCount_++) {
    chunks_[chunkCount_].store(static_cast<char*>(mapMemory(chunkBytes_)), std::memory_order_release);
  }
}

Slots::Slots(size_t rowBytes, uint32_t m, bool hasLifts)
    : m_(m),
      rows_(rowBytes, shiftFor(rowBytes)),
      links_(2 * m * sizeof(Link), shiftFor(rowBytes)),
      labels_(sizeof(uint32_t), shiftFor(rowBytes)),
      states_(1, shiftFor(rowBytes)),
      uppers_(sizeof(UpperLinks*), shiftFor(rowBytes)),
      lifts_(hasLifts ? sizeof(float) : 0, shiftFor(rowBytes)),
      changes_(1, shiftFor(rowBytes)),
      removed_(sizeof(uint64_t), shiftFor(rowBytes) - 6) {}

Slots::~Slots() {
  const size_t count = labels_.chunkCount() * labels_.slotsPerChunk();
  for (size_t slot = 0; slot < count; slot++) std::free(uppers(uint32_t(slot)).load());
}

void Slots::grow(uint32_t count) {
  const size_t chunkCount = (size_t(count) + labels_.slotsPerChunk() - 1) / labels_.slotsPerChunk();
  for (ChunkTable* table : {&rows_, &links_, &labels_, &states_, &uppers_, &lifts_, &changes_, &removed_}) table->grow(chunkCount);
}

size_t Slots::memoryBytes(uint32_t slotCount) const {
  const size_t count = slotCount;
  size_t bytes = removed_.memoryBytes((count + 63) / 64);
  for (const ChunkTable* table : {&rows_, &links_, &labels_, &states_, &uppers_, &lifts_, &changes_}) bytes += table->memoryBytes(count);
  return bytes;
}

void Slots::setLabel(uint32_t slot, uint32_t label) {
  labelPlace(slot).store(label);
  const uint64_t bit = uint64_t(1) << (slot & 63);
  if (label == noLabel) removedWord(slot).fetch_or(bit);
  else removedWord(slot).fetch_and(~bit);
}

void Slots::reset(uint32_t slot, int level) {
  Link* bottom = bottomLinks(slot);
  for (uint32_t i = 0; i < 2 * m_; i++) bottom[i].store(noSlot, std::memory_order_relaxed);
  if (level == 0) return;
  UpperLinks* upper = static_cast<UpperLinks*>(std::malloc(bytesOfUpper(level)));
  if (upper == nullptr) throw std::bad_alloc();
  upper->level = uint32_t(level);
  for (size_t i = 0; i < size_t(level) * m_; i++) new (&upper->links[i]) Link(noSlot);
  upperBytes_ += bytesOfUpper(level) + 16;
  uppers(slot).store(upper, std::memory_order_release);
}

void Slots::clear(uint32_t slot) {
  UpperLinks* upper = uppers(slot).exchange(nullptr);
  if (upper == nullptr) return;
  upperBytes_ -= bytesOfUpper(int(upper->level)) + 16;
  std::free(upper);
}

}  // namespace shoal
