// Calls that end later: each has a promise, and what they point to in JavaScript is kept until they end.
//
//   loop      search, search, …  ──(at the end of the turn, together)──▶  pool
//   loop   ◀──(together: see below)──  search ended, search ended, …
//
// Both crossings cost more than their work: a thread that is woken takes the processor from who woke it, and finds its
// caches full of somebody else's. So the searches of one turn of the event loop go to the pool at its end; and while more
// searches wait there that are soon done, an answer waits for others, at most `answersTogether` and `answerWaitNs`.
#pragma once

#include <node_api.h>
#include <uv.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

#include "thread-pool.h"

namespace shoal {

// One per environment (the main thread, a worker).
class Calls : public PauseListener {
 public:
  // What a call resolves to, made in the event loop's thread.
  using Answer = std::function<napi_value(napi_env)>;
  struct Call {
    // Null in a thread that is being ended.
    napi_deferred deferred = nullptr;
    std::vector<napi_ref> kept;
  };
  // Who has an answer that may wait is a thread of the pool, and tells of its pause.
  enum class Wake { AtOnce, WithOthers };

  explicit Calls(napi_env env);
  ~Calls() = default;

  // In the event loop's thread. `kept`: array buffers whose bytes the call uses.
  Call* begin(napi_env env, std::initializer_list<napi_value> kept, napi_value* promise);
  void submitAtTurnEnd(std::shared_ptr<Job> job);
  // By any thread, once for each call.
  void end(Call* call, Answer answer, Wake wake = Wake::AtOnce);
  void threadPauses() override;

 private:
  struct Ended {
    Call* call;
    Answer answer;
  };
  static void onTurnEnd(uv_check_t* handle);
  static void onWake(uv_async_t* handle);
  // The environment goes away: waits for the calls under way, which nobody will hear of.
  static void onCleanup(napi_async_cleanup_hook_handle handle, void* calls);
  static void onClosed(uv_handle_t* handle);
  void submitTurn();
  void resolveEnded();
  void wakeLoop();

  std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<Ended> endedCalls_;
  uint64_t firstEndedNs_ = 0;
  size_t openCount_ = 0;
  bool isWoken_ = false;
  bool isClosing_ = false;
  // Threads between the lock and the end of their wake-up, which the environment waits for.
  std::atomic<uint32_t> wakingCount_{0};
  std::vector<std::shared_ptr<Job>> turn_;

  const napi_env env_;
  napi_async_context context_ = nullptr;
  napi_async_cleanup_hook_handle cleanup_ = nullptr;
  uint32_t openHandleCount_ = 3;
  uv_async_t wake_;
  uv_check_t turnEnd_;
  // While it is active, the loop does not wait for events.
  uv_idle_t noWait_;
};

}  // namespace shoal
