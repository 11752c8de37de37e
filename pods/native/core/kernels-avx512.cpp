// Kernels for AVX-512 (F, BW, VL) with VNNI. Compiled with flags of its own; nothing here runs before the processor was
// asked. What is left behind the last whole register is computed from a register that ends with the vector, of which the
// beginning, done already, is masked: a load under a mask takes longer on some processors. Vectors shorter than a register
// have no choice.
//
// VNNI multiplies unsigned by signed bytes. a · b of signed ones is (a + 128) · b − 128 · Σ b; of many rows a against one query
// b, that sum is computed once.

#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace shoal {

// The last `count` of a register's floats.
static inline __mmask16 lastOf16(size_t count) { return __mmask16(0xffffu << (16 - count)); }
static inline __mmask16 firstOf16(size_t count) { return __mmask16((1u << count) - 1); }
static inline __mmask64 lastOf64(size_t count) { return ~__mmask64(0) << (64 - count); }
static inline __mmask64 firstOf64(size_t count) { return (__mmask64(1) << count) - 1; }

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
  if (i < n && n >= 16) {
    s3 = _mm512_mask3_fmadd_ps(_mm512_loadu_ps(a + n - 16), _mm512_loadu_ps(b + n - 16), s3, lastOf16(n - i));
  } else if (i < n) {
    const __mmask16 rest = firstOf16(n);
    s3 = _mm512_mul_ps(_mm512_maskz_loadu_ps(rest, a), _mm512_maskz_loadu_ps(rest, b));
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
  if (i < n && n >= 16) {
    const __m512 d = _mm512_sub_ps(_mm512_loadu_ps(a + n - 16), _mm512_loadu_ps(b + n - 16));
    s1 = _mm512_mask3_fmadd_ps(d, d, s1, lastOf16(n - i));
  } else if (i < n) {
    const __mmask16 rest = firstOf16(n);
    const __m512 d = _mm512_sub_ps(_mm512_maskz_loadu_ps(rest, a), _mm512_maskz_loadu_ps(rest, b));
    s1 = _mm512_mul_ps(d, d);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(s0, s1));
}

static inline int32_t sumInt8(const int8_t* a, size_t n) {
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i sums = _mm512_setzero_si512();
  size_t i = 0;
  for (; i + 64 <= n; i += 64) sums = _mm512_dpbusd_epi32(sums, ones, _mm512_loadu_si512(a + i));
  if (i < n) sums = _mm512_dpbusd_epi32(sums, ones, _mm512_maskz_loadu_epi8(firstOf64(n - i), a + i));
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
  // Where b is masked to 0, a counts for nothing.
  if (i < n && n >= 64) {
    const __m512i last = _mm512_maskz_mov_epi8(lastOf64(n - i), _mm512_loadu_si512(b + n - 64));
    s1 = _mm512_dpbusd_epi32(s1, _mm512_xor_si512(_mm512_loadu_si512(a + n - 64), flip), last);
  } else if (i < n) {
    const __mmask64 rest = firstOf64(n);
    s1 = _mm512_dpbusd_epi32(s1, _mm512_xor_si512(_mm512_maskz_loadu_epi8(rest, a), flip), _mm512_maskz_loadu_epi8(rest, b));
  }
  return _mm512_reduce_add_epi32(_mm512_add_epi32(_mm512_add_epi32(s0, s1), _mm512_add_epi32(s2, s3))) - 128 * sumOfB;
}

static inline int32_t dotInt8(const int8_t* a, const int8_t* b, size_t n) { return dotInt8WithSum(a, b, n, sumInt8(b, n)); }

static void dotInt8Many(const int8_t* query, const int8_t* const* rows, size_t count, size_t n, int32_t* out) {
  const int32_t sum = sumInt8(query, n);
  for (size_t i = 0; i < count; i++) out[i] = dotInt8WithSum(rows[i], query, n, sum);
}

SHOAL_DEFINE_MANY(dotMany, dot, float, float)
SHOAL_DEFINE_MANY(squaredL2Many, squaredL2, float, float)

extern const Kernels avx512Kernels;
const Kernels avx512Kernels = {"avx512", dot, squaredL2, dotMany, squaredL2Many, dotInt8, dotInt8Many};

}  // namespace shoal
#endif
