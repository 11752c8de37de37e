// Searches and additions: see jobs.h.

#include "jobs.h"

#include <system_error>
#include <unordered_set>

namespace shoal {

static constexpr size_t scanBlock = 64;
static constexpr size_t shortWalkComponents = 65536;
// Where components have few values, rounding errs in one direction: so many times k are compared exactly in any case.
static constexpr size_t rescoredFactor = 2;

static bool isBefore(const Candidate& a, const Candidate& b) {
  return a.distance < b.distance || (a.distance == b.distance && a.slot < b.slot);
}

// The k nearest, equal ones by label: a heap with the worst on top. Here `slot` of a candidate is its label.
static void offer(std::vector<Candidate>& nearest, size_t k, float distance, uint32_t label) {
  const Candidate candidate{distance, label};
  if (nearest.size() < k) {
    nearest.push_back(candidate);
    std::push_heap(nearest.begin(), nearest.end(), isBefore);
  } else if (isBefore(candidate, nearest.front())) {
    std::pop_heap(nearest.begin(), nearest.end(), isBefore);
    nearest.back() = candidate;
    std::push_heap(nearest.begin(), nearest.end(), isBefore);
  }
}

// A walk of the usual breadth: components compared grow with it and with the dimension.
static bool isShortWalk(const SearchRequest& request, const Index& index) {
  return !request.useScan && !request.hasFilter && size_t(request.ef) * index.graph().space().dimension() <= shortWalkComponents;
}

SearchJob::SearchJob(std::shared_ptr<Index> index, SearchRequest request, Done done)
    : Job(Kind::Search, uint32_t(request.queryCount), isShortWalk(request, *index)), index_(std::move(index)), request_(std::move(request)), done_(std::move(done)) {
  queries_.assign(request_.queries, request_.queries + request_.queryCount * index_->graph().space().dimension());
}

// A label that moved to a place further on while a scan was on its way was met twice: the nearer one counts.
static void dropRepeated(std::vector<Candidate>& sorted) {
  std::unordered_set<uint32_t> seen;
  seen.reserve(sorted.size());
  sorted.erase(std::remove_if(sorted.begin(), sorted.end(), [&](const Candidate& candidate) { return !seen.insert(candidate.slot).second; }), sorted.end());
}

void SearchJob::scan(const Query& query, const LabelFilter* filter, std::vector<Candidate>& nearest, Scratch& scratch) {
  const Graph& graph = index_->graph();
  const Slots& slots = graph.slots();
  uint32_t found[scanBlock];
  size_t count = 0;
  scratch.resizeBatch(scanBlock);
  const ExactRows* const exact = graph.exactRows();
  uint32_t places[scanBlock];
  const auto flush = [&] {
    if (exact == nullptr) graph.space().distances(query, scratch.rows.data(), count, scratch.distances.data());
    for (size_t i = 0; exact != nullptr && i < count; i++) scratch.distances[i] = graph.space().exactDistance(scratch.prepared.data(), exact->row(places[i]));
    for (size_t i = 0; i < count; i++) offer(nearest, request_.k, scratch.distances[i], found[i]);
    visitedCount_.fetch_add(count, std::memory_order_relaxed);
    count = 0;
  };
  const auto take = [&](uint32_t slot, uint32_t label) {
    exact == nullptr ? slots.prefetchRow(slot) : exact->prefetchRow(slot);
    scratch.rows[count] = slots.row(slot);
    places[count] = slot;
    found[count] = label;
    if (++count == scanBlock) flush();
  };
  const auto isReadable = [&](uint32_t slot) { return slots.state(slot).load(std::memory_order_acquire) == SlotState::Linked; };
  const uint32_t slotCount = graph.slotCount();
  if (filter != nullptr && request_.filterCount * 4 < slotCount) {
    for (size_t word = 0; word < filter->wordCount && !isCancelled(); word++) {
      for (uint32_t bits = filter->words[word]; bits != 0; bits &= bits - 1) {
        const uint32_t label = uint32_t(word * 32) + uint32_t(__builtin_ctz(bits));
        const uint32_t slot = index_->slotOf(label);
        if (slot != noSlot && isReadable(slot) && slots.label(slot) == label) take(slot, label);
      }
    }
  } else {
    for (uint32_t slot = 0; slot < slotCount; slot++) {
      if (slot % 1024 == 0 && isCancelled()) return;
      const uint32_t label = slots.label(slot);
      if (label != noLabel && isReadable(slot) && (filter == nullptr || filter->has(label))) take(slot, label);
    }
  }
  flush();
}

// Of what the walk found. Codes may have put it in another order: what their error could have kept from the k nearest is compared
// with the vectors themselves.
void SearchJob::takeNearest(const Query& query, std::vector<Candidate>& nearest, Scratch& scratch) const {
  const Graph& graph = index_->graph();
  const Slots& slots = graph.slots();
  const Space& space = graph.space();
  const ExactRows* const exact = graph.exactRows();
  const size_t alwaysCount = exact == nullptr ? request_.k : request_.k * rescoredFactor;
  size_t prefetchedCount = 0;
  scratch.pool.forEachAnswer([&](float, uint32_t slot) {
    if (prefetchedCount++ >= alwaysCount) return;
    slots.prefetchLabel(slot);
    if (exact != nullptr) exact->prefetchRow(slot);
  });
  size_t count = 0;
  scratch.pool.forEachAnswer([&](float distance, uint32_t slot) {
    if (count >= alwaysCount && nearest.size() == request_.k) {
      const float bound = nearest.front().distance;
      if (distance > bound && distance - space.distanceError(query, slots.row(slot)) > bound) return;
    }
    const uint32_t label = slots.label(slot);
    if (label == noLabel) return;
    offer(nearest, request_.k, exact == nullptr ? distance : space.exactDistance(scratch.prepared.data(), exact->row(slot)), label);
    count++;
  });
}

void SearchJob::run(uint32_t item, Scratch& scratch) {
  request_.counts[item] = 0;
  if (isCancelled() || request_.k == 0) return;
  const Graph& graph = index_->graph();
  const Space& space = graph.space();
  Epochs::Guard guard(Epochs::ofProcess());
  scratch.prepared.resize(space.dimension());
  space.prepare(queries_.data() + size_t(item) * space.dimension(), scratch.prepared.data());
  const Query query = space.ofVector(scratch.prepared.data(), scratch.encoded);
  const LabelFilter filter{request_.filterWords.data(), request_.filterWords.size()};
  const LabelFilter* const filterOrNone = request_.hasFilter ? &filter : nullptr;
  std::vector<Candidate> nearest;
  bool scans = request_.useScan;
  if (!scans) {
    WalkOptions options;
    const size_t ef = std::max(request_.ef, request_.k);
    options.breadth = request_.hasFilter ? Breadth{ef} : graph.breadthOf(ef, request_.k);
    options.filter = filterOrNone;
    options.selectivity = double(request_.filterCount) / std::max(1u, graph.slotCount());
    options.visitMax = request_.visitMax;
    options.cancelled = request_.cancelled;
    const WalkOutcome outcome = graph.search(query, options, scratch);
    visitedCount_.fetch_add(outcome.visitedCount, std::memory_order_relaxed);
    scans = !outcome.isComplete;
    if (!scans) takeNearest(query, nearest, scratch);
  }
  if (scans) {
    hasScanned_.store(true);
    scan(query, filterOrNone, nearest, scratch);
  }
  std::sort(nearest.begin(), nearest.end(), isBefore);
  if (scans) dropRepeated(nearest);
  if (nearest.size() > request_.k) nearest.resize(request_.k);
  const size_t start = size_t(item) * request_.k;
  for (size_t i = 0; i < nearest.size(); i++) {
    request_.labels[start + i] = nearest[i].slot;
    request_.distances[start + i] = nearest[i].distance;
  }
  request_.counts[item] = uint32_t(nearest.size());
}

AddJob::AddJob(std::shared_ptr<Index> index, std::vector<uint32_t> slots, const float* vectors, Done done)
    : Job(Kind::Change, uint32_t(slots.size())), index_(std::move(index)), slots_(std::move(slots)), vectors_(vectors), done_(std::move(done)) {}

void AddJob::run(uint32_t item, Scratch& scratch) {
  Graph& graph = index_->graph();
  const uint32_t slot = slots_[item];
  if (index_->isAbandoned()) return;
  Epochs::Guard guard(Epochs::ofProcess());
  if (!graph.slots().isLive(slot)) {
    // Removed while it waited: nobody has seen it.
    index_->release({slot});
    return;
  }
  try {
    makeNode(item, scratch);
  } catch (const std::exception& problem) {
    std::lock_guard<std::mutex> lock(failureMutex_);
    failedSlots_.push_back(slot);
    problem_ = problem.what();
    isDiskProblem_ = dynamic_cast<const std::system_error*>(&problem) != nullptr;
    throw;
  }
}

void AddJob::makeNode(uint32_t item, Scratch& scratch) {
  Graph& graph = index_->graph();
  const Space& space = graph.space();
  const uint32_t slot = slots_[item];
  scratch.prepared.resize(space.dimension());
  space.prepare(vectors_ + size_t(item) * space.dimension(), scratch.prepared.data());
  space.writeRow(scratch.prepared.data(), graph.slots().row(slot));
  if (graph.exactRows() != nullptr) graph.exactRows()->write(slot, scratch.prepared.data());
  const float lift = space.metric() == Metric::Dot ? index_->liftFor(scratch.prepared.data()) : 0;
  try {
    graph.insert(slot, lift, scratch);
  } catch (...) {
    // Some may link to it already. It is a node, if a poor one, until it is withdrawn and repaired.
    graph.slots().state(slot).store(SlotState::Linked, std::memory_order_release);
    throw;
  }
  graph.slots().state(slot).store(SlotState::Linked, std::memory_order_release);
  graph.measureGrowthWhenDue(scratch);
}

}  // namespace shoal
