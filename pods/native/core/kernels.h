// Distance kernels, one translation unit per instruction set with flags of its own, picked once at run time: a binary that
// was built here runs on every machine of its architecture, as fast as that one allows.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoal {

struct Kernels {
  const char* name;
  float (*dot)(const float* a, const float* b, size_t n);
  float (*squaredL2)(const float* a, const float* b, size_t n);
  // One query against many rows: `out[i]` is of `rows[i]`. Whoever gathers rows at random places prefetches them.
  void (*dotMany)(const float* query, const float* const* rows, size_t count, size_t n, float* out);
  void (*squaredL2Many)(const float* query, const float* const* rows, size_t count, size_t n, float* out);
  // Sums of products of signed bytes; n is at most 131,072, so that no sum overflows.
  int32_t (*dotInt8)(const int8_t* a, const int8_t* b, size_t n);
  void (*dotInt8Many)(const int8_t* query, const int8_t* const* rows, size_t count, size_t n, int32_t* out);
};

// The fastest that this processor can run.
const Kernels& bestKernels();

// By name, or null when it is not in this build or this processor lacks the instructions.
const Kernels* kernelsNamed(const char* name);

extern const Kernels scalarKernels;

// The loop that all the forms over many rows share. A template with internal linkage per translation unit: the same name
// compiled with different flags must never be merged by the linker.
#define SHOAL_DEFINE_MANY(NAME, ONE, IN, OUT)                                                       \
  static void NAME(const IN* query, const IN* const* rows, size_t count, size_t n, OUT* out) {      \
    for (size_t i = 0; i < count; i++) out[i] = ONE(query, rows[i], n);                             \
  }

}  // namespace shoal
