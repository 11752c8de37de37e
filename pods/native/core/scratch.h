// What a walk through the graph needs besides the graph: which slots it has seen, and the nearest so far. One per thread,
// used again and again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace shoal {

// A bit per slot, and which words are not zero: clearing costs what was seen, and the bits of a million slots fit a
// processor's second cache.
class VisitedSet {
 public:
  void reset(uint32_t slotCount) {
    for (uint32_t word : touched_) words_[word] = 0;
    touched_.clear();
    const size_t needed = (size_t(slotCount) + 63) / 64;
    if (words_.size() < needed) words_.resize(std::max(needed, words_.size() * 2));
    limit_ = slotCount;
  }

  // True when the slot was not seen before. A slot that came after the walk began counts as seen.
  bool add(uint32_t slot) {
    if (slot >= limit_) return false;
    uint64_t& word = words_[slot >> 6];
    const uint64_t bit = uint64_t(1) << (slot & 63);
    if ((word & bit) != 0) return false;
    if (word == 0) touched_.push_back(slot >> 6);
    word |= bit;
    return true;
  }

 private:
  std::vector<uint64_t> words_;
  std::vector<uint32_t> touched_;
  uint32_t limit_ = 0;
};

struct Candidate {
  float distance;
  uint32_t slot;
};

// Candidates in the order of their distance, in one array: those that may be answers, of which it keeps the `breadth`
// nearest, and between them those that are only ways through. It is both the queue and the result of a walk; for the
// breadths in use, moving the tail of an array is cheaper than keeping two heaps.
class NearestPool {
 public:
  void reset(size_t breadth) {
    size_ = answerCount_ = cursor_ = 0;
    breadth_ = breadth;
    if (entries_.size() < breadth + 64) entries_.resize(breadth + 64);
  }

  // Nothing at this distance or beyond can get in.
  float bound() const { return answerCount_ < breadth_ ? std::numeric_limits<float>::infinity() : entries_[size_ - 1].distance; }

  void insert(float distance, uint32_t slot, bool isAnswer) {
    if (size_ == entries_.size()) entries_.resize(size_ * 2);
    size_t low = 0, high = size_;
    while (low < high) {
      const size_t middle = (low + high) >> 1;
      if (entries_[middle].distance <= distance) low = middle + 1;
      else high = middle;
    }
    Entry* const at = entries_.data() + low;
    std::memmove(at + 1, at, (size_ - low) * sizeof(Entry));
    *at = {distance, slot | (isAnswer ? answerFlag : 0)};
    size_++;
    if (low < cursor_) cursor_ = low;
    if (!isAnswer || ++answerCount_ <= breadth_) return;
    // The farthest answer falls out, and the ways through behind the one that is now the farthest.
    answerCount_--;
    size_--;
    while (size_ > 0 && (entries_[size_ - 1].slot & answerFlag) == 0) size_--;
  }

  // The nearest that was not handed out yet; false when there is none.
  bool takeNext(uint32_t& slot) {
    while (cursor_ < size_ && (entries_[cursor_].slot & takenFlag) != 0) cursor_++;
    if (cursor_ >= size_) return false;
    entries_[cursor_].slot |= takenFlag;
    slot = entries_[cursor_++].slot & slotMask;
    return true;
  }

  // What `takeNext` would hand out if nothing nearer came, to be fetched ahead.
  bool peekNext(uint32_t& slot) const {
    for (size_t at = cursor_; at < size_; at++) {
      if ((entries_[at].slot & takenFlag) != 0) continue;
      slot = entries_[at].slot & slotMask;
      return true;
    }
    return false;
  }

  size_t answerCount() const { return answerCount_; }

  // The answers, nearest first.
  template <class Visit>
  void forEachAnswer(Visit visit) const {
    for (size_t i = 0; i < size_; i++)
      if ((entries_[i].slot & answerFlag) != 0) visit(entries_[i].distance, entries_[i].slot & slotMask);
  }

 private:
  struct Entry {
    float distance;
    uint32_t slot;
  };
  static constexpr uint32_t takenFlag = 1u << 31;
  static constexpr uint32_t answerFlag = 1u << 30;
  static constexpr uint32_t slotMask = answerFlag - 1;

  std::vector<Entry> entries_;
  size_t size_ = 0, answerCount_ = 0, cursor_ = 0, breadth_ = 0;
};

struct Scratch {
  VisitedSet visited;
  NearestPool pool;
  std::vector<uint32_t> slots;
  std::vector<const char*> rows;
  std::vector<float> distances;
  std::vector<Candidate> candidates;
  std::vector<uint32_t> selected;
  std::vector<char> encoded;
  std::vector<float> prepared;

  void resizeBatch(size_t count) {
    if (slots.size() >= count) return;
    slots.resize(count);
    rows.resize(count);
    distances.resize(count);
  }
};

}  // namespace shoal
