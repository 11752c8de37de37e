// Threads: see thread-pool.h.

#include "thread-pool.h"

#include <time.h>

#include <algorithm>
#include <exception>
#include <thread>
#include <utility>

#ifdef __linux__
#include <pthread.h>
#include <sched.h>
#endif

namespace shoal {

static constexpr uint64_t creditNs = 100000000;
// Changes get four fifths: searches cost the event loop too, both cost more side by side, and an import shall keep half of
// what it does alone.
static constexpr uint64_t searchWeight = 4;
static constexpr uint64_t changeWeight = 1;

// Of this thread, and not by the clock: the answer to a search wakes the event loop, which may take the processor from
// whatever runs next, mostly a change.
static uint64_t processorNs() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return uint64_t(time.tv_sec) * 1000000000 + uint64_t(time.tv_nsec);
}

// A process may be kept to some of the machine's processors: more threads than those would only take turns.
static uint32_t processorCount() {
#ifdef __linux__
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return uint32_t(std::max(1, CPU_COUNT(&allowed)));
#endif
  return std::max(1u, std::thread::hardware_concurrency());
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
  return threadCount_ != 0 ? threadCount_ : std::min(256u, processorCount());
}

// With the mutex held.
void ThreadPool::start() {
  isStarted_ = true;
  if (threadCount_ == 0) threadCount_ = std::min(256u, processorCount());
  for (uint32_t i = 0; i < threadCount_; i++) {
    std::thread([this] {
#ifdef __linux__
      // For top and perf, which tell threads by their names.
      pthread_setname_np(pthread_self(), "shoal-index");
#endif
      work();
    }).detach();
  }
}

void ThreadPool::submit(std::shared_ptr<Job>* jobs, size_t count) {
  size_t itemCount = 0;
  for (size_t i = 0; i < count; i++) {
    if (jobs[i]->itemCount_ == 0) std::exchange(jobs[i], nullptr)->finish();
    else itemCount += jobs[i]->itemCount_;
  }
  if (itemCount == 0) return;
  size_t waitingCount;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!isStarted_) start();
    for (size_t i = 0; i < count; i++) {
      if (jobs[i] == nullptr) continue;
      const size_t kind = size_t(jobs[i]->kind_);
      // Who was idle has saved nothing up; who only waited for its next batch has.
      const uint64_t other = usedNs_[1 - kind];
      if (queues_[kind].empty()) usedNs_[kind] = std::max(usedNs_[kind], other > creditNs ? other - creditNs : 0);
      queues_[kind].push_back(std::move(jobs[i]));
    }
    waitingCount = waitingCount_;
  }
  for (size_t i = 0; i < std::min(itemCount, waitingCount); i++) wake_.notify_one();
}

void ThreadPool::listen(PauseListener* listener) {
  std::lock_guard<std::mutex> lock(mutex_);
  listeners_.push_back(listener);
}

void ThreadPool::tellPause(std::unique_lock<std::mutex>& lock) {
  for (size_t i = 0; i < listeners_.size(); i++) {
    PauseListener* const listener = listeners_[i];
    lock.unlock();
    listener->threadPauses();
    lock.lock();
  }
}

size_t ThreadPool::chooseKind() const {
  if (queues_[0].empty()) return 1;
  if (queues_[1].empty()) return 0;
  return usedNs_[0] <= usedNs_[1] ? 0 : 1;
}

void ThreadPool::work() {
  Scratch scratch;
  bool hasRunSearches = false;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    const bool isIdle = queues_[0].empty() && queues_[1].empty();
    const size_t kind = chooseKind();
    if (hasRunSearches && (isIdle || !queues_[kind].front()->isShort_)) {
      tellPause(lock);
      hasRunSearches = false;
      continue;
    }
    if (isIdle) {
      waitingCount_++;
      wake_.wait(lock);
      waitingCount_--;
      continue;
    }
    std::shared_ptr<Job> job = std::move(queues_[kind].front());
    queues_[kind].pop_front();
    const uint32_t item = job->next_++;
    if (job->next_ < job->itemCount_) queues_[kind].push_back(job);
    lock.unlock();
    const uint64_t startNs = processorNs();
    try {
      job->run(item, scratch);
    } catch (const std::exception&) {
      job->hasFailed_.store(true);
    }
    const uint64_t usedNs = processorNs() - startNs;
    if (job->leftCount_.fetch_sub(1) == 1) job->finish();
    hasRunSearches = hasRunSearches || kind == size_t(Job::Kind::Search);
    job.reset();
    lock.lock();
    usedNs_[kind] += kind == size_t(Job::Kind::Search) ? usedNs * searchWeight : usedNs * changeWeight;
  }
}

}  // namespace shoal
