// Searches, additions, replacements, removals, repairs and images at once, judged against a model; a program of its own, so
// that it can be compiled with -fsanitize=thread and run by a test.
//
//   stress <seed> <steps> <directory for images> [float|int8] [cosine|euclidean|dot]
//
// What must hold, whatever the threads do:
//   - a search returns no label that was removed before it began, none twice, none that its filter refuses
//   - each distance is that of a vector the label has had
//   - once all is quiet, a scan finds exactly the nearest, the graph nearly all, and an image loads as what it was
//   - a pool of candidates is as far as its breadth says

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "image.h"
#include "jobs.h"

using namespace shoal;

static constexpr uint32_t dimension = 20;
static constexpr uint32_t liveMax = 3000;
static constexpr size_t openMax = 24;
// The points lie in clusters far from one another, and a walk that is no broader than a cluster may never leave the wrong
// one: of a graph built at once too. This one is broader than most; of 960 runs the worst had a recall of 0.991.
static constexpr uint32_t judgedEf = 200;
static constexpr double recallMin = 0.97;

[[noreturn]] static void fail(const char* what, uint64_t a = 0, uint64_t b = 0) {
  std::fprintf(stderr, "%s (%llu, %llu)\n", what, static_cast<unsigned long long>(a), static_cast<unsigned long long>(b));
  std::exit(1);
}

static void rest() { std::this_thread::sleep_for(std::chrono::microseconds(100)); }

struct OpenSearch {
  std::vector<uint32_t> filter;
  std::vector<uint32_t> labels, counts;
  std::vector<float> distances, query;
  std::atomic<int32_t> cancelled{0};
  bool isCancelled = false;
  uint64_t startedAt = 0;
  std::atomic<bool> isDone{false};
};

struct OpenAddition {
  std::vector<float> vectors;
  std::atomic<bool> isDone{false};
};

// Candidates as a list that is sorted anew each time.
static void judgePool(std::mt19937& random) {
  constexpr float unbounded = std::numeric_limits<float>::infinity();
  const size_t k = 1 + random() % 8, least = k + random() % 8;
  const Breadth breadth = random() % 2 == 0 ? Breadth{least + random() % 40} : Breadth{least + random() % 40, k, least, 1 + float(random() % 100) / 100};
  NearestPool pool;
  pool.reset(breadth);
  struct Entry {
    float distance;
    uint32_t slot;
    bool isAnswer, isTaken;
  };
  std::vector<Entry> model;
  for (uint32_t slot = 0; slot < 200; slot++) {
    const float distance = float(random() % 1000) - 50;
    const bool isAnswer = random() % 4 != 0;
    if (distance < pool.bound()) {
      pool.insert(distance, slot, isAnswer);
      const auto at = std::upper_bound(model.begin(), model.end(), distance, [](float one, const Entry& other) { return one < other.distance; });
      model.insert(at, {distance, slot, isAnswer, false});
    }
    std::vector<float> answers;
    for (size_t i = 0; i < model.size(); i++) {
      if (!model[i].isAnswer) continue;
      answers.push_back(model[i].distance);
      if (answers.size() == breadth.most) model.resize(i + 1);
    }
    float bound = answers.size() == breadth.most ? answers.back() : unbounded;
    if (breadth.k != 0 && answers.size() >= least) bound = std::min(bound, std::max(model[least - 1].distance, std::max(0.0f, answers[k - 1]) * breadth.slack));
    if (pool.bound() != bound || pool.answerCount() != answers.size()) fail("a pool has another bound than its breadth says", slot, pool.answerCount());
    if (random() % 3 != 0) continue;
    const auto next = std::find_if(model.begin(), model.end(), [](const Entry& entry) { return !entry.isTaken; });
    uint32_t taken = 0;
    const bool isTaken = pool.takeNext(taken);
    if (isTaken != (next != model.end() && next->distance <= bound)) fail("a pool hands out what is not within its bound, or keeps back what is", slot, taken);
    if (isTaken && next->slot != taken) fail("a pool hands out another candidate than the nearest", next->slot, taken);
    if (isTaken) next->isTaken = true;
  }
}

class Stress {
 public:
  Stress(uint32_t seed, std::string directory, Storage storage, Metric metric)
      : random_(seed), directory_(std::move(directory)), parameters_{dimension, metric, storage, 8, 40, directory_}, index_(std::make_shared<Index>(parameters_, ThreadPool::ofProcess())) {}

  void run(uint32_t steps) {
    for (uint32_t step = 0; step < steps; step++) {
      now_++;
      const uint32_t dice = random_() % 100;
      if (dice < 45) startSearch();
      else if (dice < 75) add();
      else if (dice < 92) remove();
      else if (dice < 94) removeMany();
      else if (dice < 96) writeImageBeside();
      collect();
      while (searches_.size() + additions_.size() > openMax) {
        rest();
        collect();
      }
    }
    settle();
    judgeQuiet(*index_);
    judgeImages();
    for (int i = 0; i < 200; i++) judgePool(random_);
    std::printf("%u steps, %zu labels, %zu images, %zu searches judged\n", steps, model_.size(), imageCount_, judgedCount_);
  }

 private:
  std::vector<float> vector() {
    std::normal_distribution<float> normal;
    std::vector<float> made(dimension);
    const uint32_t cluster = random_() % 16;
    for (uint32_t i = 0; i < dimension; i++) made[i] = float((cluster * 7 + i * 3) % 11) - 5 + 0.7f * normal(random_);
    return made;
  }

  void add() {
    auto addition = std::make_shared<OpenAddition>();
    std::vector<uint32_t> labels;
    std::set<uint32_t> chosen;
    for (uint32_t count = 1 + random_() % 40; count > 0; count--) {
      // One in six replaces.
      uint32_t label = nextLabel_;
      if (!model_.empty() && random_() % 6 == 0) label = anyLabel();
      else nextLabel_++;
      if (!chosen.insert(label).second) continue;
      labels.push_back(label);
      const std::vector<float> made = vector();
      addition->vectors.insert(addition->vectors.end(), made.begin(), made.end());
      model_[label] = made;
      history_[label].push_back(made);
      removedAt_.erase(label);
    }
    std::vector<uint32_t> slots = index_->assign(labels.data(), labels.size());
    additions_.push_back(addition);
    index_->pool().submit(std::make_shared<AddJob>(index_, std::move(slots), addition->vectors.data(), [addition](AddJob&) { addition->isDone.store(true); }));
  }

  uint32_t anyLabel() {
    auto at = model_.lower_bound(random_() % nextLabel_);
    return at == model_.end() ? model_.begin()->first : at->first;
  }

  void removeLabels(const std::vector<uint32_t>& labels) {
    for (uint32_t label : labels) {
      model_.erase(label);
      removedAt_[label] = now_;
    }
    index_->remove(labels.data(), labels.size());
  }

  void remove() {
    std::vector<uint32_t> labels;
    const uint32_t count = model_.size() > liveMax ? 200 : random_() % 20;
    for (uint32_t i = 0; i < count && !model_.empty(); i++) {
      const uint32_t label = anyLabel();
      if (std::find(labels.begin(), labels.end(), label) == labels.end()) labels.push_back(label);
    }
    removeLabels(labels);
  }

  void removeMany() {
    if (random_() % 4 != 0) return;
    std::vector<uint32_t> labels;
    for (const auto& [label, made] : model_)
      if (random_() % 10 != 0) labels.push_back(label);
    removeLabels(labels);
  }

  void startSearch() {
    auto search = std::make_shared<OpenSearch>();
    search->startedAt = now_;
    SearchRequest request;
    request.queryCount = 1 + random_() % 3;
    request.k = 10;
    request.ef = 24 + random_() % 40;
    request.useScan = random_() % 4 == 0;
    for (size_t i = 0; i < request.queryCount; i++) {
      const std::vector<float> made = vector();
      search->query.insert(search->query.end(), made.begin(), made.end());
    }
    if (random_() % 2 == 0) {
      const uint32_t every = 1 + random_() % 8;
      search->filter.assign(nextLabel_ / 32 + 1, 0);
      for (uint32_t label = 0; label < nextLabel_; label += every) search->filter[label >> 5] |= 1u << (label & 31);
      request.hasFilter = true;
      request.filterWords = search->filter;
      request.filterCount = nextLabel_ / every + 1;
    }
    search->labels.resize(request.queryCount * request.k);
    search->distances.resize(request.queryCount * request.k);
    search->counts.resize(request.queryCount);
    request.queries = search->query.data();
    request.labels = search->labels.data();
    request.distances = search->distances.data();
    request.counts = search->counts.data();
    request.cancelled = &search->cancelled;
    search->isCancelled = random_() % 10 == 0;
    searches_.push_back(search);
    index_->pool().submit(std::make_shared<SearchJob>(index_, std::move(request), [search](SearchJob&) { search->isDone.store(true); }));
    if (search->isCancelled) search->cancelled.store(1);
  }

  float distanceOf(const float* query, const std::vector<float>& stored) const {
    const Space exact(dimension, parameters_.metric, Storage::Float, scalarKernels);
    std::vector<float> a(dimension), b(dimension);
    exact.prepare(query, a.data());
    exact.prepare(stored.data(), b.data());
    return exact.exactDistance(a.data(), b.data());
  }

  bool isNear(float found, float expected) const {
    return std::fabs(found - expected) <= 1e-4f * std::max(10.0f, std::fabs(expected));
  }

  void judge(const OpenSearch& search) {
    if (search.isCancelled) return;
    judgedCount_++;
    for (size_t q = 0; q < search.counts.size(); q++) {
      std::set<uint32_t> seen;
      for (uint32_t i = 0; i < search.counts[q]; i++) {
        const uint32_t label = search.labels[q * 10 + i];
        const float distance = search.distances[q * 10 + i];
        if (!seen.insert(label).second) fail("a label twice", label);
        if (!search.filter.empty() && (label >> 5 >= search.filter.size() || (search.filter[label >> 5] >> (label & 31) & 1) == 0)) fail("not in the filter", label);
        const auto removed = removedAt_.find(label);
        if (removed != removedAt_.end() && removed->second < search.startedAt) fail("removed before the search began", label, removed->second);
        bool isKnown = false;
        for (const std::vector<float>& made : history_[label]) isKnown = isKnown || isNear(distance, distanceOf(&search.query[q * dimension], made));
        if (!isKnown) fail("a distance of no vector that the label has had", label);
      }
    }
  }

  void collect() {
    for (size_t i = searches_.size(); i-- > 0;) {
      if (!searches_[i]->isDone.load()) continue;
      judge(*searches_[i]);
      searches_.erase(searches_.begin() + long(i));
    }
    for (size_t i = additions_.size(); i-- > 0;)
      if (additions_[i]->isDone.load()) additions_.erase(additions_.begin() + long(i));
    if (writer_.joinable() && writerIsDone_.load()) writer_.join();
  }

  void settle() {
    while (!searches_.empty() || !additions_.empty() || index_->isRepairing() || writer_.joinable()) {
      rest();
      collect();
    }
  }

  void writeImageBeside() {
    if (writer_.joinable()) return;
    // What a caller does: the moment is taken at once, additions under way are waited for, then it is written.
    const bool isBase = images_.empty() || random_() % 8 == 0;
    index_->holdSlots(true);
    auto snapshot = std::make_shared<LabelSnapshot>(index_->snapshot());
    imageModel_ = model_;
    imageTakenAt_ = now_;
    const std::vector<std::shared_ptr<OpenAddition>> before = additions_;
    const std::string path = directory_ + "/image-" + std::to_string(imageCount_++);
    writerIsDone_.store(false);
    if (isBase) images_.clear();
    images_.push_back({});
    writer_ = std::thread([this, snapshot, isBase, path, before] {
      for (const auto& addition : before)
        while (!addition->isDone.load()) rest();
      const ImageOutcome outcome = writeImage(*index_, *snapshot, isBase, path);
      index_->holdSlots(false);
      if (outcome.result != ImageResult::Done) fail(outcome.problem.c_str());
      images_.back() = outcome.part;
      writerIsDone_.store(true);
    });
  }

  // The last image, which was written beside everything else.
  void judgeImages() {
    if (images_.empty()) return;
    auto loaded = std::make_shared<Index>(parameters_, ThreadPool::ofProcess());
    const ImageOutcome outcome = readImages(*loaded, images_);
    if (outcome.result != ImageResult::Done) fail(outcome.problem.c_str());
    // An addition that waited at that moment and was taken back before its turn is not in it.
    const std::vector<uint32_t> found = loaded->labels();
    for (auto at = imageModel_.begin(); at != imageModel_.end();) {
      const bool isMissing = std::find(found.begin(), found.end(), at->first) == found.end();
      const bool wasTakenBack = removedAt_.count(at->first) != 0 ? removedAt_[at->first] >= imageTakenAt_ : history_[at->first].back() != at->second;
      if (isMissing && wasTakenBack) at = imageModel_.erase(at);
      else ++at;
    }
    model_ = imageModel_;
    judgeQuiet(*loaded);
  }

  void judgeQuiet(Index& index) {
    std::vector<uint32_t> labels = index.labels();
    std::sort(labels.begin(), labels.end());
    if (index.memoryBytes() < labels.size() * index.graph().space().rowBytes()) fail("less memory than there are rows");
    std::vector<uint32_t> expected;
    for (const auto& [label, made] : model_) expected.push_back(label);
    if (labels != expected || index.size() != expected.size()) fail("other labels than there should be", labels.size(), expected.size());
    size_t wanted = 0, found = 0, scanned = 0;
    for (int i = 0; i < 100; i++) {
      const std::vector<float> query = vector();
      std::vector<float> nearest;
      for (const auto& [label, made] : model_) nearest.push_back(distanceOf(query.data(), made));
      std::sort(nearest.begin(), nearest.end());
      const size_t k = std::min<size_t>(10, nearest.size());
      if (k == 0) continue;
      wanted += k;
      const float slack = 1e-4f;
      const float bound = nearest[k - 1] + slack * std::max(1.0f, std::fabs(nearest[k - 1]));
      for (float distance : searchNow(index, query, k, false)) found += distance <= bound ? 1 : 0;
      for (float distance : searchNow(index, query, k, true)) scanned += distance <= bound ? 1 : 0;
    }
    if (scanned != wanted) fail("a scan missed something", scanned, wanted);
    std::printf("%zu points, recall %.3f\n", model_.size(), double(found) / double(std::max<size_t>(1, wanted)));
    if (double(found) < recallMin * double(wanted)) fail("the graph misses too much", found, wanted);
  }

  std::vector<float> searchNow(Index& index, const std::vector<float>& query, size_t k, bool useScan) {
    SearchRequest request;
    uint32_t count = 0;
    std::vector<uint32_t> labels(k);
    std::vector<float> distances(k);
    request.queries = query.data();
    request.queryCount = 1;
    request.k = uint32_t(k);
    request.ef = judgedEf;
    request.useScan = useScan;
    request.labels = labels.data();
    request.distances = distances.data();
    request.counts = &count;
    std::atomic<bool> isDone{false};
    index.pool().submit(std::make_shared<SearchJob>(index.shared_from_this(), std::move(request), [&](SearchJob&) { isDone.store(true); }));
    while (!isDone.load()) rest();
    distances.resize(count);
    return distances;
  }

  std::mt19937 random_;
  const std::string directory_;
  const GraphParameters parameters_;
  const std::shared_ptr<Index> index_;
  std::map<uint32_t, std::vector<float>> model_, imageModel_;
  std::map<uint32_t, std::vector<std::vector<float>>> history_;
  std::map<uint32_t, uint64_t> removedAt_;
  std::vector<std::shared_ptr<OpenSearch>> searches_;
  std::vector<std::shared_ptr<OpenAddition>> additions_;
  std::vector<ImagePart> images_;
  std::thread writer_;
  std::atomic<bool> writerIsDone_{false};
  uint32_t nextLabel_ = 1;
  uint64_t now_ = 0, imageTakenAt_ = 0;
  size_t imageCount_ = 0, judgedCount_ = 0;
};

int main(int count, char** arguments) {
  if (count < 4) {
    std::fprintf(stderr, "stress <seed> <steps> <directory> [float|int8] [cosine|euclidean|dot]\n");
    return 2;
  }
  const Storage storage = count > 4 && std::strcmp(arguments[4], "int8") == 0 ? Storage::Int8 : Storage::Float;
  const char* metric = count > 5 ? arguments[5] : "euclidean";
  const Metric chosen = std::strcmp(metric, "cosine") == 0 ? Metric::Cosine : std::strcmp(metric, "dot") == 0 ? Metric::Dot : Metric::Euclidean;
  ThreadPool::ofProcess().setThreadCount(4);
  Stress(uint32_t(std::atoi(arguments[1])), arguments[3], storage, chosen).run(uint32_t(std::atoi(arguments[2])));
  return 0;
}
