// How far a search looks around.
//
// A walk of a fixed breadth goes on until the `ef` nearest candidates have had their neighbours looked at, which is too long
// for a query whose nearest neighbours stand out, and too short for one that lies among many at nearly the same distance. This
// one goes on as long as a candidate is within `slack` times the distance of the k-th nearest answer (Al-Jazzazi et al.,
// Distance Adaptive Beam Search, arXiv:2505.15636).
//
// `ef` stays what a caller says, and means the same on average. Around a point of the collection the number of neighbours grows with
// a power of their distance, its local intrinsic dimension (Amsaleg et al., KDD 2015): the distance of the j-th neighbour is about
// j^growth times that of the first, where growth is one over that dimension. So the distance within which `ef` are expected is
// (ef / k)^growth times that of the k-th. Growth is the median over some nodes of the graph.
//
// Queries may be distributed otherwise than the points, and clusters have borders where no power holds: a walk looks at no
// less than a third of `ef`, and at no more than three times as many.

#include <algorithm>
#include <cmath>

#include "graph-walk.h"

namespace shoal {

static constexpr size_t spread = 3;
static constexpr size_t sampleCount = 128;
// Growth is measured between the distance of the farthest neighbour that a walk finds and that of one so much nearer in rank.
static constexpr size_t rankRatio = 8;
static constexpr size_t nearRankMin = 4;
static constexpr size_t informativeMin = 16;
// Of eight dimensions, in the squares of distances. More is found where most clusters are smaller than a walk is broad.
static constexpr double growthMax = 0.25;

Breadth Graph::breadthOf(size_t ef, size_t k) const {
  const float growth = growth_.load(std::memory_order_relaxed);
  if (!(growth > 0) || k == 0) return {ef};
  return {ef * spread, k, std::max(k, ef / spread), float(std::pow(double(ef) / double(k), double(growth)))};
}

void Graph::measureGrowthWhenDue(Scratch& scratch) {
  const uint64_t count = insertionCount_.load(std::memory_order_relaxed);
  uint64_t due = nextMeasureAt_.load(std::memory_order_relaxed);
  if (count >= due && nextMeasureAt_.compare_exchange_strong(due, count + count / 2)) measureGrowth(scratch);
}

void Graph::measureGrowth(Scratch& scratch) {
  // Distances under dot have no zero from which they could grow.
  if (space_.metric() == Metric::Dot) return;
  const uint32_t count = slotCount();
  std::vector<double> found;
  WalkOptions options;
  options.breadth = {parameters_.efConstruction};
  options.visitMax = constructionVisitMax();
  for (size_t i = 0; i < sampleCount && count > 0; i++) {
    const uint32_t slot = uint32_t(uint64_t(i) * count / sampleCount);
    if (!slots_.isLiveNode(slot)) continue;
    search(queryOf(slot), options, scratch);
    std::vector<float> distances;
    scratch.pool.forEachAnswer([&](float distance, uint32_t) { distances.push_back(distance); });
    if (distances.size() < rankRatio * nearRankMin) continue;
    // The first is the node itself.
    const size_t farRank = distances.size() - 1, nearRank = farRank / rankRatio;
    // Copies of one another say nothing.
    if (!(distances[nearRank] > 0)) continue;
    found.push_back(std::log(distances[farRank] / distances[nearRank]) / std::log(double(farRank) / double(nearRank)));
  }
  if (found.size() < informativeMin) {
    growth_.store(0, std::memory_order_relaxed);
    return;
  }
  std::nth_element(found.begin(), found.begin() + ptrdiff_t(found.size() / 2), found.end());
  growth_.store(float(std::min(growthMax, found[found.size() / 2])), std::memory_order_relaxed);
}

}  // namespace shoal
