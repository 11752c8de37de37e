// What lies at random places, asked for before it is read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace shoal {

// A vector that will be compared soon. Of a long one the beginning: the processor follows a run of lines by itself, and a
// whole list of neighbours should fit its first cache.
inline void prefetchVector(const void* vector, size_t bytes) {
  constexpr size_t lineBytes = 64;
  constexpr size_t prefetchedBytesMax = 512;
  const uintptr_t start = reinterpret_cast<uintptr_t>(vector);
  const uintptr_t end = start + std::min(bytes, prefetchedBytesMax);
  for (uintptr_t line = start / lineBytes * lineBytes; line < end; line += lineBytes) __builtin_prefetch(reinterpret_cast<const void*>(line));
}

}  // namespace shoal
