// CRC-32C (Castagnoli), as the checkpoints' manifests have it: by the processor where it can, else by tables.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoal {

uint32_t crc32c(uint32_t checksum, const void* bytes, size_t count);

}  // namespace shoal
