// Exact vectors in a file: see exact-rows.h.

#include "exact-rows.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <vector>

namespace shoal {

constexpr size_t chunkCountMax = 1 << 16;
// What can be made anew leaves the end of a full disk to the log.
constexpr uint64_t keptFreeBytes = 16 << 20;
constexpr uint32_t roomStepRows = 256;

// Where the system knows files that never had a name, nothing is left behind by a process that ends between two calls.
static int openNameless(const std::string& directory) {
#ifdef O_TMPFILE
  const int descriptor = open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return descriptor;
#endif
  const std::string pattern = directory + "/vectors-XXXXXX";
  std::vector<char> path(pattern.begin(), pattern.end());
  path.push_back('\0');
  const int made = mkstemp(path.data());
  if (made >= 0) unlink(path.data());
  return made;
}

// Rows of a chunk, in whole pages of any size that systems have.
ExactRows::ExactRows(size_t rowBytes, const std::string& directory)
    : rowBytes_(rowBytes),
      chunkBytes_(((rowBytes << shift) + 65535) / 65536 * 65536),
      directory_(directory),
      descriptor_(openNameless(directory)),
      chunks_(new std::atomic<char*>[chunkCountMax]()) {
  if (descriptor_ < 0) fail();
}

ExactRows::~ExactRows() {
  for (size_t i = 0; i < chunkCount_; i++) munmap(chunks_[i].load(), chunkBytes_);
  close(descriptor_);
}

void ExactRows::fail() const {
  throw std::system_error(errno, std::generic_category(), "the file of exact vectors under " + directory_ + " cannot be written");
}

void ExactRows::checkRoom() const {
  struct statvfs facts;
  if (fstatvfs(descriptor_, &facts) != 0) fail();
  if (uint64_t(facts.f_bavail) * facts.f_frsize >= keptFreeBytes + roomStepRows * rowBytes_) return;
  errno = ENOSPC;
  fail();
}

void ExactRows::grow(uint32_t count) {
  if (count > checkedCount_) {
    checkRoom();
    checkedCount_ = (count + roomStepRows - 1) / roomStepRows * roomStepRows;
  }
  const size_t needed = (size_t(count) + (1u << shift) - 1) >> shift;
  if (needed > chunkCountMax) {
    errno = EFBIG;
    fail();
  }
  while (chunkCount_ < needed) {
    if (ftruncate(descriptor_, off_t((chunkCount_ + 1) * chunkBytes_)) != 0) fail();
    void* mapped = mmap(nullptr, chunkBytes_, PROT_READ, MAP_SHARED, descriptor_, off_t(chunkCount_ * chunkBytes_));
    if (mapped == MAP_FAILED) fail();
    // Single rows are read, at random places.
    madvise(mapped, chunkBytes_, MADV_RANDOM);
    chunks_[chunkCount_].store(static_cast<char*>(mapped), std::memory_order_release);
    chunkCount_++;
  }
}

void ExactRows::write(uint32_t slot, const float* components) {
  const char* at = reinterpret_cast<const char*>(components);
  off_t place = off_t((slot >> shift) * chunkBytes_ + size_t(slot & ((1u << shift) - 1)) * rowBytes_);
  for (size_t left = rowBytes_; left > 0;) {
    const ssize_t some = pwrite(descriptor_, at, left, place);
    if (some < 0 && errno == EINTR) continue;
    if (some == 0) errno = ENOSPC;
    if (some <= 0) fail();
    at += some;
    place += some;
    left -= size_t(some);
  }
}

}  // namespace shoal
