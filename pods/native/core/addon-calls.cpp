// Calls: see addon-calls.h.

#include "addon-calls.h"

namespace shoal {

Calls::Calls(napi_env env) : env_(env) {
  napi_value name;
  napi_create_string_utf8(env, "shoal vector core", NAPI_AUTO_LENGTH, &name);
  napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, &Calls::onWake, &wake_);
  // Only calls under way keep the process.
  napi_unref_threadsafe_function(env, wake_);
  napi_add_env_cleanup_hook(env, &Calls::onCleanup, this);
}

Calls::Call* Calls::begin(napi_env env, std::initializer_list<napi_value> kept, napi_value* promise) {
  Call* call = new Call();
  napi_create_promise(env, &call->deferred, promise);
  for (napi_value value : kept) {
    napi_ref reference;
    napi_create_reference(env, value, 1, &reference);
    call->kept.push_back(reference);
  }
  std::lock_guard<std::mutex> lock(mutex_);
  if (openCount_++ == 0) napi_ref_threadsafe_function(env, wake_);
  return call;
}

void Calls::end(Call* call, Answer answer) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (isClosing_) {
    delete call;
    openCount_--;
    ended_.notify_all();
    return;
  }
  endedCalls_.push_back({call, std::move(answer)});
  // Under the lock, so that the environment cannot go away in between; the queue of the wake-up has no bound.
  if (endedCalls_.size() == 1) napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
}

void Calls::onWake(napi_env env, napi_value, void* context, void*) {
  if (env != nullptr) static_cast<Calls*>(context)->resolveEnded(env);
}

void Calls::resolveEnded(napi_env env) {
  std::vector<Ended> ended;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ended.swap(endedCalls_);
  }
  for (Ended& one : ended) {
    napi_handle_scope scope;
    napi_open_handle_scope(env, &scope);
    napi_resolve_deferred(env, one.call->deferred, one.answer(env));
    for (napi_ref reference : one.call->kept) napi_delete_reference(env, reference);
    delete one.call;
    napi_close_handle_scope(env, scope);
  }
  std::lock_guard<std::mutex> lock(mutex_);
  openCount_ -= ended.size();
  if (openCount_ == 0) napi_unref_threadsafe_function(env, wake_);
}

void Calls::onCleanup(void* data) {
  Calls* calls = static_cast<Calls*>(data);
  std::unique_lock<std::mutex> lock(calls->mutex_);
  calls->isClosing_ = true;
  calls->openCount_ -= calls->endedCalls_.size();
  for (Ended& one : calls->endedCalls_) delete one.call;
  calls->endedCalls_.clear();
  calls->ended_.wait(lock, [calls] { return calls->openCount_ == 0; });
  lock.unlock();
  napi_release_threadsafe_function(calls->wake_, napi_tsfn_abort);
}

}  // namespace shoal
