// Kernels for NEON, which every 64-bit ARM processor has.

#include "kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

namespace shoal {

static inline float dot(const float* a, const float* b, size_t n) {
  float32x4_t s0 = vdupq_n_f32(0), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    s0 = vfmaq_f32(s0, vld1q_f32(a + i), vld1q_f32(b + i));
    s1 = vfmaq_f32(s1, vld1q_f32(a + i + 4), vld1q_f32(b + i + 4));
    s2 = vfmaq_f32(s2, vld1q_f32(a + i + 8), vld1q_f32(b + i + 8));
    s3 = vfmaq_f32(s3, vld1q_f32(a + i + 12), vld1q_f32(b + i + 12));
  }
  for (; i + 4 <= n; i += 4) s0 = vfmaq_f32(s0, vld1q_f32(a + i), vld1q_f32(b + i));
  float sum = vaddvq_f32(vaddq_f32(vaddq_f32(s0, s1), vaddq_f32(s2, s3)));
  for (; i < n; i++) sum += a[i] * b[i];
  return sum;
}

static inline float squaredL2(const float* a, const float* b, size_t n) {
  float32x4_t s0 = vdupq_n_f32(0), s1 = s0;
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const float32x4_t d0 = vsubq_f32(vld1q_f32(a + i), vld1q_f32(b + i));
    const float32x4_t d1 = vsubq_f32(vld1q_f32(a + i + 4), vld1q_f32(b + i + 4));
    s0 = vfmaq_f32(s0, d0, d0);
    s1 = vfmaq_f32(s1, d1, d1);
  }
  float sum = vaddvq_f32(vaddq_f32(s0, s1));
  for (; i < n; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

static inline int32_t dotInt8(const int8_t* a, const int8_t* b, size_t n) {
  int32x4_t s0 = vdupq_n_s32(0), s1 = s0;
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const int8x16_t as = vld1q_s8(a + i), bs = vld1q_s8(b + i);
    s0 = vpadalq_s16(s0, vmull_s8(vget_low_s8(as), vget_low_s8(bs)));
    s1 = vpadalq_s16(s1, vmull_high_s8(as, bs));
  }
  int32_t sum = vaddvq_s32(vaddq_s32(s0, s1));
  for (; i < n; i++) sum += int32_t(a[i]) * int32_t(b[i]);
  return sum;
}

SHOAL_DEFINE_MANY(dotMany, dot, float, float)
SHOAL_DEFINE_MANY(squaredL2Many, squaredL2, float, float)
SHOAL_DEFINE_MANY(dotInt8Many, dotInt8, int8_t, int32_t)

extern const Kernels neonKernels;
const Kernels neonKernels = {"neon", dot, squaredL2, dotMany, squaredL2Many, dotInt8, dotInt8Many};

}  // namespace shoal
#endif
