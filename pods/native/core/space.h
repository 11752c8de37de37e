// What a stored vector looks like (a row) and how far two are from each other. Smaller is nearer:
//
//   cosine      1 − ⟨q, x⟩    of unit vectors
//   euclidean   |q − x|²
//   dot         −⟨q, x⟩
//
// Inner product is no metric, and a graph built on it leaves much unreachable. So while a graph is built under dot, every
// vector has one more component, its lift, which puts all of them onto one sphere, where the nearest is the one with the
// largest inner product (Bachrach et al., RecSys 2014): lift(x) = √(bound² − |x|²). A query's lift is 0, so that searches
// never look at it. It is no part of the row, because it changes when the bound grows.
//
//   row, float   components f32 × dimension                          padded to 16 bytes
//   row, int8    scale f32, |x|² f32, codes i8 × dimension           padded to 16 bytes; component ≈ code × scale
#pragma once

#include <cmath>
#include <vector>

#include "kernels.h"

namespace shoal {

enum class Metric { Cosine, Euclidean, Dot };
enum class Storage { Float, Int8 };

// A vector to compare rows with. It points into a row or into a `QueryBuffer`, and owns nothing.
struct Query {
  const float* components = nullptr;
  const int8_t* codes = nullptr;
  float scale = 0;
  float squaredNorm = 0;
  float lift = 0;
};

class Space {
 public:
  Space(uint32_t dimension, Metric metric, Storage storage, const Kernels& kernels = bestKernels());

  uint32_t dimension() const { return dimension_; }
  Metric metric() const { return metric_; }
  Storage storage() const { return storage_; }
  const Kernels& kernels() const { return kernels_; }
  size_t rowBytes() const { return rowBytes_; }

  // Copies, and under cosine scales to unit length.
  void prepare(const float* vector, float* prepared) const;
  void writeRow(const float* prepared, char* row) const;
  // The components of a row, as exact as it has them.
  void readRow(const char* row, float* components) const;

  Query ofRow(const char* row, float lift = 0) const;
  Query ofVector(const float* prepared, std::vector<char>& buffer) const;

  float distance(const Query& query, const char* row) const;
  void distances(const Query& query, const char* const* rows, size_t count, float* out) const;
  float exactDistance(const float* a, const float* b) const;
  // By how much `distance` may differ from the exact one: 0 for floats. For codes six standard deviations, if what is rounded off
  // a component lies anywhere within a step.
  float distanceError(const Query& query, const char* row) const;

 private:
  float fromDot(float dot) const { return metric_ == Metric::Cosine ? 1 - dot : -dot; }
  float fromCodes(const Query& query, const char* row, int32_t dot) const;

  const uint32_t dimension_;
  const Metric metric_;
  const Storage storage_;
  const Kernels& kernels_;
  const size_t rowBytes_;
};

}  // namespace shoal
