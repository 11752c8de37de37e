// Reads images into an empty index: see image.h. Nothing in a file is believed before it was compared with what it must
// agree with: a damaged file is a result, never a crash.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "crc32c.h"
#include "image-header.h"
#include "image.h"

namespace shoal {

// Thrown inside this file only.
struct Corruption {
  std::string problem;
};

class ImageSource {
 public:
  explicit ImageSource(const ImagePart& part) : part_(part), descriptor_(open(part.path.c_str(), O_RDONLY | O_CLOEXEC)), buffer_(1 << 20) {
    struct stat facts;
    if (descriptor_ < 0 || fstat(descriptor_, &facts) != 0) throw Corruption{part.path + " cannot be read: " + std::strerror(errno)};
    if (uint64_t(facts.st_size) != part.sizeBytes) throw Corruption{part.path + " has another size than it should"};
#ifdef POSIX_FADV_SEQUENTIAL
    posix_fadvise(descriptor_, 0, 0, POSIX_FADV_SEQUENTIAL);
#endif
  }
  ~ImageSource() {
    if (descriptor_ >= 0) close(descriptor_);
  }

  void read(void* bytes, size_t count) {
    char* at = static_cast<char*>(bytes);
    while (count > 0) {
      if (next_ == filled_) fill();
      const size_t some = std::min(count, filled_ - next_);
      std::memcpy(at, buffer_.data() + next_, some);
      at += some;
      next_ += some;
      count -= some;
    }
  }

  uint64_t leftBytes() const { return part_.sizeBytes - readBytes_ + (filled_ - next_); }

  void finish() {
    if (leftBytes() != 0) throw Corruption{part_.path + " has more bytes than it says"};
    if (checksum_ != part_.checksum) throw Corruption{part_.path + " fails its checksum"};
  }

 private:
  void fill() {
    ssize_t some;
    do some = ::read(descriptor_, buffer_.data(), buffer_.size());
    while (some < 0 && errno == EINTR);
    if (some <= 0) throw Corruption{part_.path + (some == 0 ? " ends early" : std::string(" cannot be read: ") + std::strerror(errno))};
    checksum_ = crc32c(checksum_, buffer_.data(), size_t(some));
    next_ = 0;
    filled_ = size_t(some);
    readBytes_ += filled_;
  }

  const ImagePart part_;
  const int descriptor_;
  std::vector<char> buffer_;
  size_t next_ = 0, filled_ = 0;
  uint64_t readBytes_ = 0;
  uint32_t checksum_ = 0;
};

// What the images say, before it becomes an index.
struct ImageReading {
  Graph& graph;
  ImageHeader header{};
  std::vector<uint32_t> labels;
  std::vector<uint8_t> levels;
  SlotSet hasRow, hasLinks;
  // Nodes with links to such that came after the image's moment.
  std::vector<uint32_t> thinned;
};

static void require(bool holds, const ImagePart& part, const char* problem) {
  if (!holds) throw Corruption{part.path + " " + problem};
}

static void readHeader(ImageSource& source, const ImagePart& part, ImageReading& reading, bool isBase) {
  require(source.leftBytes() >= sizeof(ImageHeader), part, "is too short");
  ImageHeader& header = reading.header;
  source.read(&header, sizeof(header));
  const Space& space = reading.graph.space();
  ImageHeader unchecked = header;
  unchecked.checksum = 0;
  require(crc32c(0, &unchecked, sizeof(unchecked)) == header.checksum, part, "has a damaged header");
  require(std::memcmp(header.magic, imageMagic, sizeof(imageMagic)) == 0 && header.format == imageFormat, part, "is no image of this format");
  require(header.dimension == space.dimension() && header.metric == uint32_t(space.metric()) && header.storage == uint32_t(space.storage()) &&
              header.m == reading.graph.slots().m() && header.rowBytes == space.rowBytes() + reading.graph.exactBytes(),
          part, "belongs to an index of other parameters");
  require((header.isBase == 1) == isBase, part, "is out of place");
  require(header.slotCount <= slotLimit && header.slotCount >= reading.labels.size(), part, "has an impossible number of slots");
  require(header.rowCount <= header.slotCount && header.linkCount <= header.slotCount, part, "has an impossible number of nodes");
  const uint64_t least = 5ull * header.slotCount + uint64_t(header.rowCount) * (4 + header.rowBytes) + uint64_t(header.linkCount) * 4 * (1 + 2ull * header.m);
  require(source.leftBytes() >= least, part, "is too short");
}

static std::vector<uint32_t> readSlots(ImageSource& source, const ImagePart& part, uint32_t count, const ImageReading& reading) {
  std::vector<uint32_t> slots(count);
  source.read(slots.data(), size_t(count) * 4);
  for (uint32_t i = 0; i < count; i++) {
    require(slots[i] < reading.levels.size() && reading.levels[slots[i]] != 0, part, "names a slot that is no node");
    require(i == 0 || slots[i] > slots[i - 1], part, "names slots out of order");
  }
  return slots;
}

static void readImage(const ImagePart& part, ImageReading& reading, bool isBase) {
  constexpr uint8_t levelMax = 32;
  ImageSource source(part);
  readHeader(source, part, reading, isBase);
  const uint32_t slotCount = reading.header.slotCount;
  Slots& slots = reading.graph.slots();
  reading.graph.setSlotCount(slotCount);
  reading.labels.resize(slotCount);
  reading.levels.resize(slotCount);
  reading.hasRow.words.resize((size_t(slotCount) + 63) / 64);
  reading.hasLinks.words.resize((size_t(slotCount) + 63) / 64);
  source.read(reading.labels.data(), size_t(slotCount) * 4);
  source.read(reading.levels.data(), slotCount);
  for (uint8_t level : reading.levels) require(level <= levelMax, part, "has an impossible level");
  std::vector<float> exact(reading.graph.space().dimension());
  for (uint32_t slot : readSlots(source, part, reading.header.rowCount, reading)) {
    source.read(slots.row(slot), reading.graph.space().rowBytes());
    if (ExactRows* const rows = reading.graph.exactRows(); rows != nullptr) {
      source.read(exact.data(), rows->rowBytes());
      rows->write(slot, exact.data());
    }
    reading.hasRow.add(slot);
  }
  std::vector<uint32_t> list;
  for (uint32_t slot : readSlots(source, part, reading.header.linkCount, reading)) {
    const int level = reading.levels[slot] - 1;
    slots.clear(slot);
    slots.reset(slot, level);
    for (int at = 0; at <= level; at++) {
      list.resize(slots.capacity(at));
      require(source.leftBytes() >= list.size() * 4, part, "is too short");
      source.read(list.data(), list.size() * 4);
      Link* links = slots.links(slot, at);
      for (size_t i = 0; i < list.size(); i++) links[i].store(list[i], std::memory_order_relaxed);
    }
    reading.hasLinks.add(slot);
  }
  source.finish();
}

// Links lead to nodes that reach the level; those to what a later image took out, or what came after the moment of this
// one, are passed over.
static void checkGraph(ImageReading& reading, const ImagePart& last) {
  Slots& slots = reading.graph.slots();
  const uint32_t slotCount = uint32_t(reading.levels.size());
  for (uint32_t slot = 0; slot < slotCount; slot++) {
    if (reading.levels[slot] == 0) {
      slots.clear(slot);
      continue;
    }
    require(reading.hasRow.has(slot) && reading.hasLinks.has(slot), last, "names a node that no image has");
    require(slots.level(slot) + 1 == reading.levels[slot], last, "has another level than the node's links");
    for (int level = 0; level < reading.levels[slot]; level++) {
      Link* links = slots.links(slot, level);
      uint32_t kept = 0, lost = 0;
      for (uint32_t i = 0; i < slots.capacity(level); i++) {
        const uint32_t other = links[i].load(std::memory_order_relaxed);
        links[i].store(noSlot, std::memory_order_relaxed);
        if (other == noSlot) continue;
        if (other == slotLimit) {
          lost++;
          continue;
        }
        require(other < slotCount && other != slot, last, "links to a slot that there is not");
        if (reading.levels[other] > level) links[kept++].store(other, std::memory_order_relaxed);
        else lost++;
      }
      if (level == 0 && kept < lost) reading.thinned.push_back(slot);
    }
  }
}

// The stored one, unless it was removed: what was removed may have lost its links to all that came after the moment.
static void chooseEntry(ImageReading& reading) {
  const uint64_t stored = reading.header.entry;
  const auto isLive = [&](uint32_t slot) { return reading.levels[slot] != 0 && reading.labels[slot] != noLabel; };
  const uint32_t slot = uint32_t(stored);
  if (stored != Graph::noEntry && slot < reading.levels.size() && isLive(slot) && reading.levels[slot] == (stored >> 32) + 1) {
    reading.graph.setEntry(stored);
    return;
  }
  uint64_t best = Graph::noEntry;
  for (uint32_t other = 0; other < reading.levels.size(); other++) {
    const int level = int(reading.levels[other]) - 1;
    if (isLive(other) && (best == Graph::noEntry || level > int(best >> 32))) best = Graph::entryOf(other, level);
  }
  reading.graph.setEntry(best);
}

ImageOutcome readImages(Index& index, const std::vector<ImagePart>& parts) {
  ImageOutcome outcome;
  ImageReading reading{index.graph(), {}, {}, {}, {}, {}, {}};
  try {
    for (size_t i = 0; i < parts.size(); i++) readImage(parts[i], reading, i == 0);
    checkGraph(reading, parts.back());
    chooseEntry(reading);
    SlotSet present;
    present.words.resize((reading.levels.size() + 63) / 64);
    for (uint32_t slot = 0; slot < reading.levels.size(); slot++)
      if (reading.levels[slot] != 0) present.add(slot);
    index.graph().setInsertionCount(reading.header.insertionCount);
    require(index.adopt(reading.labels, present, reading.header.normBound), parts.back(), "has a label twice");
    Epochs::Guard guard(Epochs::ofProcess());
    Scratch scratch;
    for (uint32_t slot : reading.thinned) index.graph().reconnect(slot, scratch);
    index.graph().reconnectUnreachable(scratch);
    index.graph().measureGrowthWhenDue(scratch);
  } catch (const Corruption& corruption) {
    outcome.result = ImageResult::Corrupt;
    outcome.problem = corruption.problem;
  } catch (const std::exception& problem) {
    // Memory or disk.
    outcome.result = ImageResult::Failed;
    outcome.problem = problem.what();
  }
  return outcome;
}

}  // namespace shoal
