// Kernels for AVX-512 (F, BW, VL) with VNNI. Compiled with flags of its own; nothing here runs before the processor was
// asked. What is left behind the last whole register is loaded under a mask, so that no dimension is slow.
//
// VNNI multiplies unsigned by signed bytes. a · b of signed ones is (a + 128) · b − 128 · Σ b; of many rows a against one query
// b, that sum is computed once.

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

static inline int32_t sumInt8(const int8_t* a, size_t n) {
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i sums = _mm512_setzero_si512();
  size_t i = 0;
  for (; i + 64 <= n; i += 64) sums = _mm512_dpbusd_epi32(sums, ones, _mm512_loadu_si512(a + i));
  if (i < n) sums = _mm512_dpbusd_epi32(sums, ones, _mm512_maskz_loadu_epi8((__mmask64(1) << (n - i)) - 1, a + i));
  return _mm512_reduce_add_epi32(sums);
}

static inline int32_t dotInt8WithSum(const int8_t* a, const int8_t* b, size_t n, int32_t sumOfB) {
  const __m512i flip = _mm512_set1_epi8(char(0x80));
  const auto step = [&](__m512i sum, size_t i) { return _mm512_dpbusd_epi32(sum, _mm512_xor_si512(_mm512_loadu_si512(a + i), flip), _mm512_loadu_si512(b + i)); };
  __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for (; i + 256 <= n; i += 256) {
    s0 = step(s0, i);
    s1 = step(s1, i + 64);
    s2 = step(s2, i + 128);
    s3 = step(s3, i + 192);
  }
  for (; i + 64 <= n; i += 64) s0 = step(s0, i);
  if (i < n) {
    const __mmask64 rest = (__mmask64(1) << (n - i)) - 1;
    s1 = _mm512_dpbusd_epi32(s1, _mm512_xor_si512(_mm512_maskz_loadu_epi8(rest, a + i), flip), _mm512_maskz_loadu_epi8(rest, b + i));
  }
  return _mm512_reduce_add_epi32(_mm512_add_epi32(_mm512_add_epi32(s0, s1), _mm512_add_epi32(s2, s3))) - 128 * sumOfB;
}

static inline int32_t dotInt8(const int8_t* a, const int8_t* b, size_t n) { return dotInt8WithSum(a, b, n, sumInt8(b, n)); }

static void dotInt8Many(const int8_t* query, const int8_t* const* rows, size_t count, size_t n, int32_t* out) {
  const int32_t sum = sumInt8(query, n);
  for (size_t i = 0; i < count && i < fetchAhead; i++) fetchRow(rows[i], n);
  for (size_t i = 0; i < count; i++) {
    if (i + fetchAhead < count) fetchRow(rows[i + fetchAhead], n);
    out[i] = dotInt8WithSum(rows[i], query, n, sum);
  }
}

SHOAL_DEFINE_MANY(dotMany, dot, float, float)
SHOAL_DEFINE_MANY(squaredL2Many, squaredL2, float, float)

extern const Kernels avx512Kernels;
const Kernels avx512Kernels = {"avx512", dot, squaredL2, dotMany, squaredL2Many, dotInt8, dotInt8Many};

}  // namespace shoal
#endif
