// The index on disk: one base image and numbered deltas, none of which is ever written to again. All have one format; a base
// has the rows and links of every node, a delta those that changed since the image before it. Labels and levels are whole in
// each: the last image says which nodes there are.
//
//   header    magic "SHOALIDX", format u32, dimension u32, metric u32, storage u32, m u32, rowBytes u32, slotCount u32,
//             isBase u32, rowCount u32, linkCount u32, normBound f32, checksum of the header u32, entry u64, insertionCount u64
//   labels    u32 × slotCount      0xffffffff: removed, or no node
//   levels    u8 × slotCount       0: no node, else level + 1
//   rows      slot u32 × rowCount, row × rowCount; of a quantised index each with the exact vector behind it
//   links     slot u32 × linkCount, { u32 × 2m, u32 × m for each level } × linkCount
//             0xffffffff: none; 2^30: to a node that came after the moment of the image
//
// Little-endian. Size and CRC-32C stand in the checkpoint's manifest and are compared before anything is believed; what
// follows from the numbers is compared even so, since a defect may write what has a right checksum.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "index.h"

namespace shoal {

struct ImagePart {
  std::string path;
  uint64_t sizeBytes = 0;
  uint32_t checksum = 0;
};

enum class ImageResult { Done, Corrupt, Failed };

struct ImageOutcome {
  ImageResult result = ImageResult::Done;
  // What is corrupt, or what the system refused.
  std::string problem;
  ImagePart part;
};

// Writes and syncs a file that does not exist yet: a base, or what changed since the last image that was written. The
// additions that were under way at the snapshot have ended. After a failure the next one must be a base.
ImageOutcome writeImage(Index& index, const LabelSnapshot& snapshot, bool isBase, const std::string& path);

// Fills an empty index. `parts`: the base, then its deltas in order.
ImageOutcome readImages(Index& index, const std::vector<ImagePart>& parts);

}  // namespace shoal
