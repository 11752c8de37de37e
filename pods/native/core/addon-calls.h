// Calls that end later: each has a promise, and what they point to in JavaScript is kept until they end. However many end
// at a time, the event loop is woken once.
#pragma once

#include <node_api.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

namespace shoal {

// One per environment (the main thread, a worker).
class Calls {
 public:
  // What a call resolves to, made in the event loop's thread.
  using Answer = std::function<napi_value(napi_env)>;
  struct Call {
    napi_deferred deferred;
    std::vector<napi_ref> kept;
  };

  explicit Calls(napi_env env);
  ~Calls() = default;

  // In the event loop's thread. `kept`: array buffers whose bytes the call uses.
  Call* begin(napi_env env, std::initializer_list<napi_value> kept, napi_value* promise);
  // By any thread, once for each call.
  void end(Call* call, Answer answer);

 private:
  struct Ended {
    Call* call;
    Answer answer;
  };
  static void onWake(napi_env env, napi_value, void* context, void*);
  // The environment goes away: waits for the calls under way, which nobody will hear of.
  static void onCleanup(void* calls);
  void resolveEnded(napi_env env);

  std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<Ended> endedCalls_;
  size_t openCount_ = 0;
  bool isClosing_ = false;
  const napi_env env_;
  napi_threadsafe_function wake_ = nullptr;
};

}  // namespace shoal
