// Rows and distances: see space.h.

#include "space.h"

#include <algorithm>
#include <cstring>

namespace shoal {

static constexpr size_t rowAlignment = 16;
static constexpr size_t codesAt = 8;
static constexpr float errorDeviations = 6;

static size_t paddedTo(size_t bytes, size_t alignment) { return (bytes + alignment - 1) / alignment * alignment; }

static float wordAt(const char* at) {
  float value;
  std::memcpy(&value, at, 4);
  return value;
}

static const int8_t* codesOf(const char* row) { return reinterpret_cast<const int8_t*>(row + codesAt); }

Space::Space(uint32_t dimension, Metric metric, Storage storage, const Kernels& kernels)
    : dimension_(dimension),
      metric_(metric),
      storage_(storage),
      kernels_(kernels),
      rowBytes_(paddedTo(storage == Storage::Float ? dimension * 4ul : codesAt + dimension, rowAlignment)) {}

void Space::prepare(const float* vector, float* prepared) const {
  if (metric_ != Metric::Cosine) {
    std::memcpy(prepared, vector, dimension_ * 4ul);
    return;
  }
  double sum = 0;
  for (uint32_t i = 0; i < dimension_; i++) sum += double(vector[i]) * vector[i];
  const double scale = sum > 0 ? 1 / std::sqrt(sum) : 0;
  for (uint32_t i = 0; i < dimension_; i++) prepared[i] = float(vector[i] * scale);
}

void Space::writeRow(const float* prepared, char* row) const {
  if (storage_ == Storage::Float) {
    std::memcpy(row, prepared, dimension_ * 4ul);
    return;
  }
  float largest = 0;
  for (uint32_t i = 0; i < dimension_; i++) largest = std::max(largest, std::fabs(prepared[i]));
  const float scale = largest / 127;
  const float inverse = scale > 0 ? 1 / scale : 0;
  const float squaredNorm = kernels_.dot(prepared, prepared, dimension_);
  std::memcpy(row, &scale, 4);
  std::memcpy(row + 4, &squaredNorm, 4);
  int8_t* codes = reinterpret_cast<int8_t*>(row + codesAt);
  for (uint32_t i = 0; i < dimension_; i++) codes[i] = int8_t(std::lrintf(prepared[i] * inverse));
}

void Space::readRow(const char* row, float* components) const {
  if (storage_ == Storage::Float) {
    std::memcpy(components, row, dimension_ * 4ul);
    return;
  }
  const float scale = wordAt(row);
  for (uint32_t i = 0; i < dimension_; i++) components[i] = scale * codesOf(row)[i];
}

Query Space::ofRow(const char* row, float lift) const {
  Query query;
  query.lift = lift;
  if (storage_ == Storage::Float) {
    query.components = reinterpret_cast<const float*>(row);
  } else {
    query.codes = codesOf(row);
    query.scale = wordAt(row);
    query.squaredNorm = wordAt(row + 4);
  }
  return query;
}

Query Space::ofVector(const float* prepared, std::vector<char>& buffer) const {
  buffer.resize(rowBytes_);
  writeRow(prepared, buffer.data());
  return ofRow(buffer.data());
}

float Space::fromCodes(const Query& query, const char* row, int32_t dot) const {
  const float product = query.scale * wordAt(row) * float(dot);
  if (metric_ != Metric::Euclidean) return fromDot(product);
  return std::max(0.0f, query.squaredNorm + wordAt(row + 4) - 2 * product);
}

float Space::distance(const Query& query, const char* row) const {
  if (storage_ == Storage::Int8) return fromCodes(query, row, kernels_.dotInt8(query.codes, codesOf(row), dimension_));
  const float* components = reinterpret_cast<const float*>(row);
  if (metric_ == Metric::Euclidean) return kernels_.squaredL2(query.components, components, dimension_);
  return fromDot(kernels_.dot(query.components, components, dimension_));
}

void Space::distances(const Query& query, const char* const* rows, size_t count, float* out) const {
  if (storage_ == Storage::Int8) {
    constexpr size_t block = 64;
    const int8_t* codes[block];
    int32_t dots[block];
    for (size_t start = 0; start < count; start += block) {
      const size_t some = std::min(block, count - start);
      for (size_t i = 0; i < some; i++) codes[i] = codesOf(rows[start + i]);
      kernels_.dotInt8Many(query.codes, codes, some, dimension_, dots);
      for (size_t i = 0; i < some; i++) out[start + i] = fromCodes(query, rows[start + i], dots[i]);
    }
    return;
  }
  const float* const* components = reinterpret_cast<const float* const*>(rows);
  if (metric_ == Metric::Euclidean) {
    kernels_.squaredL2Many(query.components, components, count, dimension_, out);
    return;
  }
  kernels_.dotMany(query.components, components, count, dimension_, out);
  for (size_t i = 0; i < count; i++) out[i] = fromDot(out[i]);
}

float Space::distanceError(const Query& query, const char* row) const {
  if (storage_ == Storage::Float) return 0;
  const float scale = wordAt(row), squaredNorm = wordAt(row + 4);
  const float variance = (query.scale * query.scale * squaredNorm + scale * scale * query.squaredNorm) / 12;
  const float ofDot = errorDeviations * std::sqrt(variance);
  return metric_ == Metric::Euclidean ? 2 * ofDot : ofDot;
}

float Space::exactDistance(const float* a, const float* b) const {
  if (metric_ == Metric::Euclidean) return kernels_.squaredL2(a, b, dimension_);
  return fromDot(kernels_.dot(a, b, dimension_));
}

}  // namespace shoal
