// The first bytes of an image: see image.h.
#pragma once

#include <cstdint>

namespace shoal {

struct ImageHeader {
  char magic[8];
  uint32_t format, dimension, metric, storage, m, rowBytes, slotCount, isBase, rowCount, linkCount;
  float normBound;
  // Of the header itself, with 0 in this place: what it says is used before the whole file was read.
  uint32_t checksum;
  uint64_t entry, insertionCount;
};
static_assert(sizeof(ImageHeader) == 72, "written as it lies in memory");

constexpr char imageMagic[8] = {'S', 'H', 'O', 'A', 'L', 'I', 'D', 'X'};
constexpr uint32_t imageFormat = 1;

}  // namespace shoal
