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

// How far a walk looks around: as far as its nearest answers so many are, or, when `k` is not 0, as far as `slack` times the
// distance of the k-th nearest, but at least and at most so many (`Graph::breadthOf`).
struct Breadth {
  size_t most;
  size_t k = 0;
  // Not less than k.
  size_t least = 0;
  float slack = 0;
};

// Candidates in the order of their distance, in one array: those that may be answers, of which it keeps the nearest that the
// breadth allows, and between them those that are only ways through. It is both the queue and the result of a walk; for the
// breadths in use, moving the tail of an array is cheaper than keeping two heaps.
class NearestPool {
 public:
  void reset(const Breadth& breadth) {
    size_ = answerCount_ = cursor_ = 0;
    breadth_ = breadth;
    bound_ = std::numeric_limits<float>::infinity();
    if (entries_.size() < breadth.most + 64) entries_.resize(breadth.most + 64);
  }

  // Nothing at this distance or beyond can get in or is handed out.
  float bound() const { return bound_; }

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
    if (isAnswer && ++answerCount_ > breadth_.most) {
      answerCount_--;
      size_--;
    }
    // With all answers that it may keep, the farthest of them is the last: no ways through lie behind it.
    if (answerCount_ == breadth_.most)
      while (!isAnswerAt(size_ - 1)) size_--;
    if (breadth_.k != 0) followKth(low, isAnswer);
    if (answerCount_ >= breadth_.most) bound_ = entries_[size_ - 1].distance;
    // Codes may give distances below 0.
    if (breadth_.k != 0 && answerCount_ >= breadth_.least)
      bound_ = std::min(bound_, std::max(entries_[breadth_.least - 1].distance, std::max(0.0f, entries_[kthAt_].distance) * breadth_.slack));
  }

  // The nearest that was not handed out yet; false when there is none within the bound.
  bool takeNext(uint32_t& slot) {
    while (cursor_ < size_ && (entries_[cursor_].slot & takenFlag) != 0) cursor_++;
    if (cursor_ >= size_ || entries_[cursor_].distance > bound_) return false;
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
      if (isAnswerAt(i)) visit(entries_[i].distance, entries_[i].slot & slotMask);
  }

 private:
  struct Entry {
    float distance;
    uint32_t slot;
  };
  static constexpr uint32_t takenFlag = 1u << 31;
  static constexpr uint32_t answerFlag = 1u << 30;
  static constexpr uint32_t slotMask = answerFlag - 1;

  bool isAnswerAt(size_t at) const { return (entries_[at].slot & answerFlag) != 0; }

  // Where the k-th answer is, after one more came to `at`.
  void followKth(size_t at, bool isAnswer) {
    if (answerCount_ < breadth_.k) return;
    if (answerCount_ == breadth_.k && isAnswer) kthAt_ = size_;
    else if (at > kthAt_) return;
    else kthAt_++;
    if (!isAnswer) return;
    do kthAt_--;
    while (!isAnswerAt(kthAt_));
  }

  std::vector<Entry> entries_;
  size_t size_ = 0, answerCount_ = 0, cursor_ = 0, kthAt_ = 0;
  Breadth breadth_{0};
  float bound_ = 0;
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
