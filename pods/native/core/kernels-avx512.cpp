// Kernels for AVX-512 (F, BW, VL) with VNNI. Compiled with flags of its own; nothing here runs before the processor was
// asked. What is left behind the last whole register is loaded under a mask, so that no dimension is slow.
//
// VNNI multiplies unsigned by signed bytes. a · b of signed ones is (a + 128) · b − 128 · Σ b; the sum of b costs one more
// such instruction, with ones.

#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace shoal {

static inline float dot(const float* a, const float* b, size_t n) {
  __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    s0 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), s0);
    s1 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16), _mm512_loadu_ps(b + i + 16), s1);
    s2 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 32), _mm512_loadu_ps(b + i + 32), s2);
    s3 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 48), _mm512_loadu_ps(b + i + 48), s3);
  }
  for (; i + 32 <= n; i += 32) {
    s0 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), s0);
    s1 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16), _mm512_loadu_ps(b + i + 16), s1);
  }
  if (i + 16 <= n) {
    s2 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), s2);
    i += 16;
  }
  if (i < n) {
    const __mmask16 rest = __mmask16((1u << (n - i)) - 1);
    s3 = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(rest, a + i), _mm512_maskz_loadu_ps(rest, b + i), s3);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)));
}

static inline float squaredL2(const float* a, const float* b, size_t n) {
  __m512 s0 = _mm512_setzero_ps(), s1 = s0;
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const __m512 d0 = _mm512_sub_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i));
    const __m512 d1 = _mm512_sub_ps(_mm512_loadu_ps(a + i + 16), _mm512_loadu_ps(b + i + 16));
    s0 = _mm512_fmadd_ps(d0, d0, s0);
    s1 = _mm512_fmadd_ps(d1, d1, s1);
  }
  if (i + 16 <= n) {
    const __m512 d = _mm512_sub_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i));
    s0 = _mm512_fmadd_ps(d, d, s0);
    i += 16;
  }
  if (i < n) {
    const __mmask16 rest = __mmask16((1u << (n - i)) - 1);
    const __m512 d = _mm512_sub_ps(_mm512_maskz_loadu_ps(rest, a + i), _mm512_maskz_loadu_ps(rest, b + i));
    s1 = _mm512_fmadd_ps(d, d, s1);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(s0, s1));
}

static inline int32_t dotInt8(const int8_t* a, const int8_t* b, size_t n) {
  const __m512i flip = _mm512_set1_epi8(char(0x80));
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i products = _mm512_setzero_si512(), sums = products;
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    const __m512i bs = _mm512_loadu_si512(b + i);
    products = _mm512_dpbusd_epi32(products, _mm512_xor_si512(_mm512_loadu_si512(a + i), flip), bs);
    sums = _mm512_dpbusd_epi32(sums, ones, bs);
  }
  if (i < n) {
    const __mmask64 rest = (__mmask64(1) << (n - i)) - 1;
    const __m512i bs = _mm512_maskz_loadu_epi8(rest, b + i);
    products = _mm512_dpbusd_epi32(products, _mm512_xor_si512(_mm512_maskz_loadu_epi8(rest, a + i), flip), bs);
    sums = _mm512_dpbusd_epi32(sums, ones, bs);
  }
  return _mm512_reduce_add_epi32(products) - 128 * _mm512_reduce_add_epi32(sums);
}

SHOAL_DEFINE_MANY(dotMany, dot, float, float)
SHOAL_DEFINE_MANY(squaredL2Many, squaredL2, float, float)
SHOAL_DEFINE_MANY(dotInt8Many, dotInt8, int8_t, int32_t)

extern const Kernels avx512Kernels;
const Kernels avx512Kernels = {"avx512", dot, squaredL2, dotMany, squaredL2Many, dotInt8, dotInt8Many};

}  // namespace shoal
#endif
