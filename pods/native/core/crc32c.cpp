// CRC-32C: see crc32c.h.

#include "crc32c.h"

#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace shoal {

struct Tables {
  uint32_t of[8][256];
  Tables() {
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78u : 0);
      of[0][i] = value;
    }
    for (int t = 1; t < 8; t++)
      for (uint32_t i = 0; i < 256; i++) of[t][i] = (of[t - 1][i] >> 8) ^ of[0][of[t - 1][i] & 0xff];
  }
};

static uint32_t byTables(uint32_t state, const uint8_t* at, size_t count) {
  static const Tables tables;
  for (; count >= 8; at += 8, count -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    word ^= state;
    state = 0;
    for (int t = 0; t < 8; t++) state ^= tables.of[7 - t][(word >> (8 * t)) & 0xff];
  }
  for (; count > 0; at++, count--) state = (state >> 8) ^ tables.of[0][(state ^ *at) & 0xff];
  return state;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t byProcessor(uint32_t state, const uint8_t* at, size_t count) {
  uint64_t wide = state;
  for (; count >= 8; at += 8, count -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  uint32_t narrow = uint32_t(wide);
  for (; count > 0; at++, count--) narrow = _mm_crc32_u8(narrow, *at);
  return narrow;
}
#endif

uint32_t crc32c(uint32_t checksum, const void* bytes, size_t count) {
  const uint8_t* at = static_cast<const uint8_t*>(bytes);
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return ~byProcessor(~checksum, at, count);
#endif
  return ~byTables(~checksum, at, count);
}

}  // namespace shoal
