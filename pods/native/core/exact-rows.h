// The vectors of a quantised index as they were given, by slot, in a file without a name: read through a mapping that the
// system may drop and read again, so that they are no memory of the process; written by calls, which can fail, while a store
// to a mapping of a full disk ends the process. The file is gone with the process: a checkpoint has the vectors too.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "prefetch.h"

namespace shoal {

class ExactRows {
 public:
  // Throws std::system_error when the directory takes no file.
  ExactRows(size_t rowBytes, const std::string& directory);
  ~ExactRows();
  ExactRows(const ExactRows&) = delete;

  size_t rowBytes() const { return rowBytes_; }
  // Room for slots below `count`; throws std::system_error, also while there is little space left. By one thread at a time.
  void grow(uint32_t count);
  // Throws std::system_error.
  void write(uint32_t slot, const float* components);
  const float* row(uint32_t slot) const {
    const char* chunk = chunks_[slot >> shift].load(std::memory_order_relaxed);
    return reinterpret_cast<const float*>(chunk + size_t(slot & ((1u << shift) - 1)) * rowBytes_);
  }

  void prefetchRow(uint32_t slot) const { prefetchVector(row(slot), rowBytes_); }

 private:
  static constexpr uint32_t shift = 14;

  [[noreturn]] void fail() const;
  void checkRoom() const;

  const size_t rowBytes_;
  const size_t chunkBytes_;
  const std::string directory_;
  int descriptor_ = -1;
  size_t chunkCount_ = 0;
  // Slots for which there was room when it was last looked at.
  uint32_t checkedCount_ = 0;
  const std::unique_ptr<std::atomic<char*>[]> chunks_;
};

}  // namespace shoal
