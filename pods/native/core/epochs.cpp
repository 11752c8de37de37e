// Epochs: see epochs.h.

#include "epochs.h"

#include <cstdlib>

namespace shoal {

Epochs& Epochs::ofProcess() {
  // Never destroyed: threads may outlive static objects when the process ends.
  static Epochs* const epochs = new Epochs();
  return *epochs;
}

// A thread's place in the table of those that read.
class ThreadPlace {
 public:
  ThreadPlace() {
    Epochs& epochs = Epochs::ofProcess();
    for (Epochs::Place& place : epochs.places_) {
      if (!place.taken.exchange(true)) {
        place_ = &place;
        return;
      }
    }
    std::abort();  // More threads than any setting allows: a defect.
  }
  ~ThreadPlace() { place_->taken.store(false); }

  std::atomic<uint64_t>& active() { return place_->active; }

 private:
  Epochs::Place* place_ = nullptr;
};

static thread_local ThreadPlace threadPlace;

Epochs::Guard::Guard(Epochs& epochs) : place_(&threadPlace.active()), isOuter_(place_->load(std::memory_order_relaxed) == 0) {
  if (!isOuter_) return;
  // Said before anything is read, and said again if the epoch ended meanwhile: else its end may not have seen us.
  uint64_t epoch;
  do {
    epoch = epochs.current_.load();
    place_->exchange(epoch);
  } while (epochs.current_.load() != epoch);
}

Epochs::Guard::~Guard() {
  if (isOuter_) place_->store(0, std::memory_order_release);
}

bool Epochs::hasPassed(uint64_t epoch) const {
  for (const Place& place : places_) {
    const uint64_t active = place.active.load();
    if (active != 0 && active <= epoch) return false;
  }
  return true;
}

}  // namespace shoal
