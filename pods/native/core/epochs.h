// When may what was taken out of the graph be used again? Once everybody who could still have a way to it has gone: each
// thread that reads the graph says in which epoch it came in; what was taken out in an epoch is free when nobody is left
// from it or from an earlier one (Fraser, "Practical lock-freedom", 2004).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace shoal {

class Epochs {
 public:
  static constexpr size_t threadLimit = 512;

  // Of this thread, until it ends. Threads come and go (tests, checkpoints): places are used again.
  class Guard {
   public:
    explicit Guard(Epochs& epochs);
    ~Guard();
    Guard(const Guard&) = delete;

   private:
    std::atomic<uint64_t>* place_;
    const bool isOuter_;
  };

  // Ends the epoch; what was unlinked before may be used again when `hasPassed` says so.
  uint64_t end() { return current_.fetch_add(1); }
  bool hasPassed(uint64_t epoch) const;

  static Epochs& ofProcess();

 private:
  struct alignas(64) Place {
    std::atomic<uint64_t> active{0};
    std::atomic<bool> taken{false};
  };
  friend class ThreadPlace;

  std::atomic<uint64_t> current_{1};
  Place places_[threadLimit];
};

}  // namespace shoal
