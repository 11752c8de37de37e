// Which kernels this processor can run.

#include "kernels.h"

#include <cstring>

namespace shoal {

#if defined(__x86_64__)
extern const Kernels avx2Kernels;
extern const Kernels avx512Kernels;

static bool canRun(const Kernels& kernels) {
  __builtin_cpu_init();
  if (&kernels == &avx512Kernels) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
  }
  if (&kernels == &avx2Kernels) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return true;
}

static const Kernels* const fastestFirst[] = {&avx512Kernels, &avx2Kernels, &scalarKernels};
#elif defined(__aarch64__)
extern const Kernels neonKernels;
static bool canRun(const Kernels&) { return true; }
static const Kernels* const fastestFirst[] = {&neonKernels, &scalarKernels};
#else
static bool canRun(const Kernels&) { return true; }
static const Kernels* const fastestFirst[] = {&scalarKernels};
#endif

const Kernels& bestKernels() {
  for (const Kernels* kernels : fastestFirst)
    if (canRun(*kernels)) return *kernels;
  return scalarKernels;
}

const Kernels* kernelsNamed(const char* name) {
  for (const Kernels* kernels : fastestFirst)
    if (std::strcmp(kernels->name, name) == 0 && canRun(*kernels)) return kernels;
  return nullptr;
}

}  // namespace shoal
