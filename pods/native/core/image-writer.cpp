// Writes images: see image.h. Searches and changes go on meanwhile; what changes in a list while it is copied is marked as
// changed again, and comes with the next delta.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "crc32c.h"
#include "image-header.h"
#include "image.h"

namespace shoal {

// Collects bytes, and writes them in large pieces.
class ImageFile {
 public:
  explicit ImageFile(const std::string& path) : descriptor_(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)) {
    if (descriptor_ < 0) fail("open");
    buffer_.reserve(bufferBytes);
  }
  ~ImageFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }

  void append(const void* bytes, size_t count) {
    const char* at = static_cast<const char*>(bytes);
    while (count > 0) {
      const size_t some = std::min(count, bufferBytes - buffer_.size());
      buffer_.insert(buffer_.end(), at, at + some);
      at += some;
      count -= some;
      if (buffer_.size() == bufferBytes) flush();
    }
  }
  void appendWord(uint32_t word) { append(&word, 4); }

  void finish() {
    flush();
    if (problem_.empty() && fsync(descriptor_) != 0) fail("fsync");
  }

  const std::string& problem() const { return problem_; }
  uint64_t sizeBytes() const { return sizeBytes_; }
  uint32_t checksum() const { return checksum_; }

 private:
  static constexpr size_t bufferBytes = 1 << 20;

  void fail(const char* what) { problem_ = std::string(what) + ": " + std::strerror(errno); }

  void flush() {
    checksum_ = crc32c(checksum_, buffer_.data(), buffer_.size());
    for (size_t written = 0; written < buffer_.size() && problem_.empty();) {
      const ssize_t some = write(descriptor_, buffer_.data() + written, buffer_.size() - written);
      if (some < 0 && errno == EINTR) continue;
      if (some < 0) fail("write");
      else written += size_t(some);
    }
    sizeBytes_ += buffer_.size();
    buffer_.clear();
  }

  const int descriptor_;
  std::vector<char> buffer_;
  std::string problem_;
  uint64_t sizeBytes_ = 0;
  uint32_t checksum_ = 0;
};

ImageOutcome writeImage(Index& index, const LabelSnapshot& snapshot, bool isBase, const std::string& path) {
  const Slots& slots = index.graph().slots();
  const Space& space = index.graph().space();
  const uint32_t slotCount = uint32_t(snapshot.labels.size());
  // A slot that was handed out but never became a node is none.
  SlotSet present = snapshot.present;
  for (uint32_t slot = 0; slot < slotCount; slot++) {
    const SlotState state = slots.state(slot).load(std::memory_order_acquire);
    if (state != SlotState::Linked && state != SlotState::Retired) present.remove(slot);
  }
  std::vector<uint32_t> rowSlots, linkSlots;
  for (uint32_t slot = 0; slot < slotCount; slot++) {
    if (!present.has(slot)) continue;
    const uint8_t changes = slots.takeChanges(slot);
    if (isBase || (changes & rowChanged) != 0) rowSlots.push_back(slot);
    if (isBase || (changes & linksChanged) != 0) linkSlots.push_back(slot);
  }

  ImageHeader header{};
  std::memcpy(header.magic, imageMagic, sizeof(imageMagic));
  header.format = imageFormat;
  header.dimension = space.dimension();
  header.metric = uint32_t(space.metric());
  header.storage = uint32_t(space.storage());
  header.m = slots.m();
  header.rowBytes = uint32_t(space.rowBytes() + index.graph().exactBytes());
  header.slotCount = slotCount;
  header.isBase = isBase ? 1 : 0;
  header.rowCount = uint32_t(rowSlots.size());
  header.linkCount = uint32_t(linkSlots.size());
  header.normBound = snapshot.normBound;
  header.entry = snapshot.entry;
  header.insertionCount = snapshot.insertionCount;

  header.checksum = crc32c(0, &header, sizeof(header));

  ImageFile file(path);
  file.append(&header, sizeof(header));
  for (uint32_t slot = 0; slot < slotCount; slot++) file.appendWord(present.has(slot) ? snapshot.labels[slot] : noLabel);
  for (uint32_t slot = 0; slot < slotCount; slot++) {
    const uint8_t level = present.has(slot) ? uint8_t(slots.level(slot) + 1) : 0;
    file.append(&level, 1);
  }
  file.append(rowSlots.data(), rowSlots.size() * 4);
  const ExactRows* const exact = index.graph().exactRows();
  for (uint32_t slot : rowSlots) {
    file.append(slots.row(slot), space.rowBytes());
    if (exact != nullptr) file.append(exact->row(slot), exact->rowBytes());
  }
  file.append(linkSlots.data(), linkSlots.size() * 4);
  std::vector<uint32_t> list;
  const uint32_t laterSlot = slotLimit;
  for (uint32_t slot : linkSlots) {
    for (int level = 0; level <= slots.level(slot); level++) {
      const Link* links = slots.links(slot, level);
      list.assign(slots.capacity(level), noSlot);
      size_t count = 0;
      for (size_t i = 0; i < list.size(); i++) {
        const uint32_t other = links[i].load(std::memory_order_acquire);
        if (other == noSlot) break;
        // What came after the moment is left to the reader, who sees that the node had more neighbours.
        list[count++] = other < slotCount ? other : laterSlot;
      }
      file.append(list.data(), list.size() * 4);
    }
  }
  file.finish();
  ImageOutcome outcome;
  if (!file.problem().empty()) {
    outcome.result = ImageResult::Failed;
    outcome.problem = path + ": " + file.problem();
  }
  outcome.part = {path, file.sizeBytes(), file.checksum()};
  return outcome;
}

}  // namespace shoal
