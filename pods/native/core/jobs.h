// Searches and additions, as the pool's threads run them.
#pragma once

#include <functional>

#include "index.h"

namespace shoal {

struct SearchRequest {
  const float* queries = nullptr;
  size_t queryCount = 0;
  uint32_t k = 0;
  uint32_t ef = 0;
  bool useScan = false;
  bool hasFilter = false;
  std::vector<uint32_t> filterWords;
  size_t filterCount = 0;
  size_t visitMax = SIZE_MAX;
  // Written to: `queryCount × k` each, `counts` one per query. Whoever asks keeps them until the job is done.
  uint32_t* labels = nullptr;
  float* distances = nullptr;
  uint32_t* counts = nullptr;
  // Not 0: nobody wants the answer any more.
  const std::atomic<int32_t>* cancelled = nullptr;
};

class SearchJob : public Job {
 public:
  using Done = std::function<void(SearchJob&)>;
  SearchJob(std::shared_ptr<Index> index, SearchRequest request, Done done);
  void run(uint32_t item, Scratch& scratch) override;
  void finish() override { done_(*this); }

  uint64_t visitedCount() const { return visitedCount_.load(); }
  bool hasScanned() const { return hasScanned_.load(); }

 private:
  bool isCancelled() const {
    return index_->isAbandoned() || (request_.cancelled != nullptr && request_.cancelled->load(std::memory_order_relaxed) != 0);
  }
  void scan(const Query& query, const LabelFilter* filter, std::vector<Candidate>& nearest, Scratch& scratch);
  void takeNearest(const Query& query, std::vector<Candidate>& nearest, Scratch& scratch) const;

  const std::shared_ptr<Index> index_;
  const SearchRequest request_;
  std::vector<float> queries_;
  const Done done_;
  std::atomic<uint64_t> visitedCount_{0};
  std::atomic<bool> hasScanned_{false};
};

class AddJob : public Job {
 public:
  using Done = std::function<void(AddJob&)>;
  // `vectors` stay where they are until the job is done.
  AddJob(std::shared_ptr<Index> index, std::vector<uint32_t> slots, const float* vectors, Done done);
  void run(uint32_t item, Scratch& scratch) override;
  void finish() override { done_(*this); }

  // Once it has ended. Which slots became no nodes, for `Index::withdraw`, and why.
  const std::vector<uint32_t>& failedSlots() const { return failedSlots_; }
  const std::string& problem() const { return problem_; }
  bool isDiskProblem() const { return isDiskProblem_; }

 private:
  void makeNode(uint32_t item, Scratch& scratch);

  const std::shared_ptr<Index> index_;
  const std::vector<uint32_t> slots_;
  const float* const vectors_;
  const Done done_;

  std::mutex failureMutex_;
  std::vector<uint32_t> failedSlots_;
  std::string problem_;
  bool isDiskProblem_ = false;
};

}  // namespace shoal
