// Calls: see addon-calls.h.

#include "addon-calls.h"

#include <chrono>
#include <thread>

namespace shoal {

static constexpr size_t answersTogether = 8;
static constexpr uint64_t answerWaitNs = 2000000;

static uint64_t nowNs() {
  return uint64_t(std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count());
}

template <class Handle>
static uv_handle_t* handleOf(Handle* handle) {
  return reinterpret_cast<uv_handle_t*>(handle);
}

Calls::Calls(napi_env env) : env_(env) {
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  uv_async_init(loop, &wake_, &Calls::onWake);
  uv_check_init(loop, &turnEnd_);
  uv_idle_init(loop, &noWait_);
  wake_.data = turnEnd_.data = noWait_.data = this;
  // Only calls under way keep the process.
  uv_unref(handleOf(&wake_));
  napi_value name = nullptr;
  napi_create_string_utf8(env, "shoal vector core", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, nullptr, name, &context_);
  napi_add_async_cleanup_hook(env, &Calls::onCleanup, this, &cleanup_);
  ThreadPool::ofProcess().listen(this);
}

Calls::Call* Calls::begin(napi_env env, std::initializer_list<napi_value> kept, napi_value* promise) {
  Call* call = new Call();
  napi_create_promise(env, &call->deferred, promise);
  for (napi_value value : kept) {
    napi_ref reference = nullptr;
    if (napi_create_reference(env, value, 1, &reference) == napi_ok) call->kept.push_back(reference);
  }
  std::lock_guard<std::mutex> lock(mutex_);
  if (openCount_++ == 0) uv_ref(handleOf(&wake_));
  return call;
}

void Calls::submitAtTurnEnd(std::shared_ptr<Job> job) {
  if (turn_.empty()) {
    uv_check_start(&turnEnd_, &Calls::onTurnEnd);
    uv_idle_start(&noWait_, [](uv_idle_t*) {});
  }
  turn_.push_back(std::move(job));
}

void Calls::onTurnEnd(uv_check_t* handle) { static_cast<Calls*>(handle->data)->submitTurn(); }

void Calls::submitTurn() {
  uv_check_stop(&turnEnd_);
  uv_idle_stop(&noWait_);
  ThreadPool::ofProcess().submit(turn_.data(), turn_.size());
  turn_.clear();
}

void Calls::end(Call* call, Answer answer, Wake wake) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (isClosing_) {
      delete call;
      openCount_--;
      ended_.notify_all();
      return;
    }
    endedCalls_.push_back({call, std::move(answer)});
    if (isWoken_) return;
    const uint64_t now = nowNs();
    if (endedCalls_.size() == 1) firstEndedNs_ = now;
    if (wake == Wake::WithOthers && endedCalls_.size() < answersTogether && now - firstEndedNs_ < answerWaitNs) return;
    isWoken_ = true;
    wakingCount_++;
  }
  wakeLoop();
}

void Calls::threadPauses() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (isClosing_ || isWoken_ || endedCalls_.empty()) return;
    isWoken_ = true;
    wakingCount_++;
  }
  wakeLoop();
}

// Without the lock: the loop's thread may take the processor at once, and would wait for it.
void Calls::wakeLoop() {
  uv_async_send(&wake_);
  wakingCount_--;
}

void Calls::onWake(uv_async_t* handle) { static_cast<Calls*>(handle->data)->resolveEnded(); }

void Calls::resolveEnded() {
  std::vector<Ended> ended;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (isClosing_) return;
    ended.swap(endedCalls_);
    isWoken_ = false;
  }
  napi_handle_scope scope;
  napi_open_handle_scope(env_, &scope);
  napi_value ignored = nullptr;
  napi_get_undefined(env_, &ignored);
  napi_callback_scope callback;
  napi_open_callback_scope(env_, ignored, context_, &callback);
  for (Ended& one : ended) {
    napi_handle_scope each;
    napi_open_handle_scope(env_, &each);
    const napi_value answer = one.answer(env_);
    if (one.call->deferred != nullptr) napi_resolve_deferred(env_, one.call->deferred, answer);
    for (napi_ref reference : one.call->kept) napi_delete_reference(env_, reference);
    delete one.call;
    napi_close_handle_scope(env_, each);
  }
  // What waits for the promises runs here.
  napi_close_callback_scope(env_, callback);
  napi_close_handle_scope(env_, scope);
  std::lock_guard<std::mutex> lock(mutex_);
  openCount_ -= ended.size();
  if (openCount_ == 0 && !isClosing_) uv_unref(handleOf(&wake_));
}

void Calls::onCleanup(napi_async_cleanup_hook_handle, void* data) {
  Calls* calls = static_cast<Calls*>(data);
  calls->submitTurn();
  {
    std::unique_lock<std::mutex> lock(calls->mutex_);
    calls->isClosing_ = true;
    calls->openCount_ -= calls->endedCalls_.size();
    for (Ended& one : calls->endedCalls_) delete one.call;
    calls->endedCalls_.clear();
    calls->ended_.wait(lock, [calls] { return calls->openCount_ == 0; });
  }
  while (calls->wakingCount_.load() != 0) std::this_thread::yield();
  napi_async_destroy(calls->env_, calls->context_);
  uv_close(handleOf(&calls->wake_), &Calls::onClosed);
  uv_close(handleOf(&calls->turnEnd_), &Calls::onClosed);
  uv_close(handleOf(&calls->noWait_), &Calls::onClosed);
}

void Calls::onClosed(uv_handle_t* handle) {
  Calls* calls = static_cast<Calls*>(handle->data);
  if (--calls->openHandleCount_ == 0) napi_remove_async_cleanup_hook(calls->cleanup_);
}

}  // namespace shoal
