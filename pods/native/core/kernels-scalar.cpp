// Kernels without any instruction set in mind: what the others are tested against, and what serves where none fits.

#include "kernels.h"

namespace shoal {

static float dot(const float* a, const float* b, size_t n) {
  float sums[4] = {0, 0, 0, 0};
  size_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (size_t lane = 0; lane < 4; lane++) sums[lane] += a[i + lane] * b[i + lane];
  for (; i < n; i++) sums[0] += a[i] * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

static float squaredL2(const float* a, const float* b, size_t n) {
  float sums[4] = {0, 0, 0, 0};
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (size_t lane = 0; lane < 4; lane++) {
      const float d = a[i + lane] - b[i + lane];
      sums[lane] += d * d;
    }
  }
  for (; i < n; i++) sums[0] += (a[i] - b[i]) * (a[i] - b[i]);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

static int32_t dotInt8(const int8_t* a, const int8_t* b, size_t n) {
  int32_t sum = 0;
  for (size_t i = 0; i < n; i++) sum += int32_t(a[i]) * int32_t(b[i]);
  return sum;
}

SHOAL_DEFINE_MANY(dotMany, dot, float, float)
SHOAL_DEFINE_MANY(squaredL2Many, squaredL2, float, float)
SHOAL_DEFINE_MANY(dotInt8Many, dotInt8, int8_t, int32_t)

extern const Kernels scalarKernels = {"scalar", dot, squaredL2, dotMany, squaredL2Many, dotInt8, dotInt8Many};

}  // namespace shoal
