// Threads for distances, their own and never libuv's, which the store, the log and password hashing share.
//
// A job is a number of items; any thread takes the next item of any job, so that a batch is worked on by all of them. There
// are two kinds, searches and changes. While both wait, the one that has had less processor time goes first, by
// weight: an import beside many searches keeps half of its rate, and neither can keep the other out. Within a kind jobs take turns item by item.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <memory>
#include <mutex>
#include <vector>

#include "scratch.h"

namespace shoal {

class Job {
 public:
  enum class Kind { Search = 0, Change = 1 };

  // `isShort`: each item is done within about a millisecond.
  Job(Kind kind, uint32_t itemCount, bool isShort = false) : kind_(kind), isShort_(isShort), itemCount_(itemCount), leftCount_(itemCount) {}
  virtual ~Job() = default;
  Job(const Job&) = delete;

  virtual void run(uint32_t item, Scratch& scratch) = 0;
  // After the last item, by the thread that ran it. May submit further jobs.
  virtual void finish() = 0;

  // An item could not be run, for lack of memory or disk.
  bool hasFailed() const { return hasFailed_.load(); }
  uint32_t itemCount() const { return itemCount_; }
  bool isShort() const { return isShort_; }

 private:
  friend class ThreadPool;
  const Kind kind_;
  const bool isShort_;
  const uint32_t itemCount_;
  uint32_t next_ = 0;
  std::atomic<uint32_t> leftCount_;
  std::atomic<bool> hasFailed_{false};
};

// Hears from each thread that has run searches before it waits, or does something else than a short search. One that
// holds answers back relies on it.
class PauseListener {
 public:
  virtual void threadPauses() = 0;

 protected:
  ~PauseListener() = default;
};

class ThreadPool {
 public:
  // Of the process; never destroyed, since its threads may outlive static objects.
  static ThreadPool& ofProcess();

  // Effective until the first job; 0 is as many as there are processors for this process.
  void setThreadCount(uint32_t count);
  uint32_t threadCount();
  // A job without items is finished at once.
  void submit(std::shared_ptr<Job> job) { submit(&job, 1); }
  // Leaves the jobs empty.
  void submit(std::shared_ptr<Job>* jobs, size_t count);
  // For good: the listener is never deleted.
  void listen(PauseListener* listener);

 private:
  void start();
  void work();
  void tellPause(std::unique_lock<std::mutex>& lock);
  size_t chooseKind() const;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Job>> queues_[2];
  uint64_t usedNs_[2] = {0, 0};
  std::vector<PauseListener*> listeners_;
  // Threads that wait for work.
  size_t waitingCount_ = 0;
  uint32_t threadCount_ = 0;
  bool isStarted_ = false;
};

}  // namespace shoal
