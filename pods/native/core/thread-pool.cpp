// Threads: see thread-pool.h.

#include "thread-pool.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <thread>

namespace shoal {

static constexpr uint64_t creditNs = 100000000;
// Changes get three fifths: searches cost the event loop too, and an import shall keep half of what it does alone.
static constexpr uint64_t searchWeight = 3;
static constexpr uint64_t changeWeight = 2;

static uint64_t nowNs() {
  return uint64_t(std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count());
}

ThreadPool& ThreadPool::ofProcess() {
  static ThreadPool* const pool = new ThreadPool();
  return *pool;
}

void ThreadPool::setThreadCount(uint32_t count) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!isStarted_) threadCount_ = std::min(count, 256u);
}

uint32_t ThreadPool::threadCount() {
  std::lock_guard<std::mutex> lock(mutex_);
  return threadCount_ != 0 ? threadCount_ : std::max(1u, std::min(256u, std::thread::hardware_concurrency()));
}

// With the mutex held.
void ThreadPool::start() {
  isStarted_ = true;
  if (threadCount_ == 0) threadCount_ = std::max(1u, std::min(256u, std::thread::hardware_concurrency()));
  for (uint32_t i = 0; i < threadCount_; i++) std::thread([this] { work(); }).detach();
}

void ThreadPool::submit(std::shared_ptr<Job> job) {
  if (job->itemCount_ == 0) {
    job->finish();
    return;
  }
  const uint32_t itemCount = job->itemCount_;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!isStarted_) start();
    const size_t kind = size_t(job->kind_);
    // Who was idle has saved nothing up; who only waited for its next batch has.
    const uint64_t other = usedNs_[1 - kind];
    if (queues_[kind].empty()) usedNs_[kind] = std::max(usedNs_[kind], other > creditNs ? other - creditNs : 0);
    queues_[kind].push_back(std::move(job));
  }
  if (itemCount == 1) wake_.notify_one();
  else wake_.notify_all();
}

size_t ThreadPool::chooseKind() const {
  if (queues_[0].empty()) return 1;
  if (queues_[1].empty()) return 0;
  return usedNs_[0] <= usedNs_[1] ? 0 : 1;
}

void ThreadPool::work() {
  Scratch scratch;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return !queues_[0].empty() || !queues_[1].empty(); });
    const size_t kind = chooseKind();
    std::shared_ptr<Job> job = std::move(queues_[kind].front());
    queues_[kind].pop_front();
    const uint32_t item = job->next_++;
    if (job->next_ < job->itemCount_) queues_[kind].push_back(job);
    lock.unlock();
    const uint64_t startNs = nowNs();
    try {
      job->run(item, scratch);
    } catch (const std::exception&) {
      job->hasFailed_.store(true);
    }
    const uint64_t usedNs = nowNs() - startNs;
    if (job->leftCount_.fetch_sub(1) == 1) job->finish();
    job.reset();
    lock.lock();
    usedNs_[kind] += kind == size_t(Job::Kind::Search) ? usedNs * searchWeight : usedNs * changeWeight;
  }
}

}  // namespace shoal
