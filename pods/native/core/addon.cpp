// What JavaScript sees of the core. The adapter on the other side (native-core.ts) gives the types; this file believes that
// they are right, checks lengths, and decides nothing.
//
// In a thread that is being ended, calls of Node-API that could run JavaScript fail, from any moment on: whatever they were to
// set stays null, and nobody sees what is returned.

#include <node_api.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <cstring>
#include <string>
#include <system_error>
#include <thread>

#include "addon-calls.h"
#include "image.h"
#include "jobs.h"

namespace shoal {

struct Handle {
  std::shared_ptr<Index> index;
};

static Calls& callsOf(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return *static_cast<Calls*>(data);
}

template <size_t count>
struct Arguments {
  napi_value values[count];
  Arguments(napi_env env, napi_callback_info info) {
    size_t given = count;
    napi_get_cb_info(env, info, &given, values, nullptr, nullptr);
  }
  napi_value operator[](size_t i) const { return values[i]; }
};

static double numberOf(napi_env env, napi_value value) {
  double number = 0;
  napi_get_value_double(env, value, &number);
  return number;
}

static napi_value numberTo(napi_env env, double number) {
  napi_value value = nullptr;
  napi_create_double(env, number, &value);
  return value;
}

static napi_value undefinedIn(napi_env env) {
  napi_value value = nullptr;
  napi_get_undefined(env, &value);
  return value;
}

static std::string stringOf(napi_env env, napi_value value) {
  size_t length = 0;
  napi_get_value_string_utf8(env, value, nullptr, 0, &length);
  std::string text(length, '\0');
  napi_get_value_string_utf8(env, value, &text[0], length + 1, &length);
  return text;
}

static napi_value stringTo(napi_env env, const std::string& text) {
  napi_value value = nullptr;
  napi_create_string_utf8(env, text.data(), text.size(), &value);
  return value;
}

struct View {
  void* data = nullptr;
  size_t length = 0;
  napi_value buffer = nullptr;
};

static View viewOf(napi_env env, napi_value value) {
  View view;
  napi_typedarray_type type;
  napi_get_typedarray_info(env, value, &type, &view.length, &view.data, &view.buffer, nullptr);
  return view;
}

static void throwError(napi_env env, const char* message) { napi_throw_error(env, nullptr, message); }

// Null, with an exception pending, when the index was closed.
static Index* indexOf(napi_env env, napi_value value) {
  void* data = nullptr;
  napi_get_value_external(env, value, &data);
  Handle* handle = static_cast<Handle*>(data);
  if (handle != nullptr && handle->index != nullptr) return handle->index.get();
  throwError(env, "the index is closed");
  return nullptr;
}

static napi_value create(napi_env env, napi_callback_info info) {
  Arguments<6> arguments(env, info);
  GraphParameters parameters;
  parameters.dimension = uint32_t(numberOf(env, arguments[0]));
  parameters.metric = Metric(uint32_t(numberOf(env, arguments[1])));
  parameters.storage = Storage(uint32_t(numberOf(env, arguments[2])));
  parameters.m = uint32_t(numberOf(env, arguments[3]));
  parameters.efConstruction = uint32_t(numberOf(env, arguments[4]));
  parameters.exactDirectory = stringOf(env, arguments[5]);
  Handle* handle = nullptr;
  try {
    handle = new Handle{std::make_shared<Index>(parameters, ThreadPool::ofProcess())};
  } catch (const std::exception& problem) {
    throwError(env, problem.what());
    return nullptr;
  }
  napi_value value = nullptr;
  const napi_status status = napi_create_external(env, handle, [](napi_env, void* data, void*) {
    Handle* handle = static_cast<Handle*>(data);
    if (handle->index != nullptr) handle->index->abandon();
    delete handle;
  }, nullptr, &value);
  if (status != napi_ok) delete handle;
  return value;
}

static napi_value closeIndex(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  void* data = nullptr;
  napi_get_value_external(env, arguments[0], &data);
  Handle* handle = static_cast<Handle*>(data);
  if (handle->index != nullptr) handle->index->abandon();
  handle->index.reset();
  return undefinedIn(env);
}

// [result, problem]; result 0 is done, 1 for lack of memory, 2 of the disk
static napi_value additionTo(napi_env env, int result, const std::string& problem) {
  napi_value array = nullptr;
  napi_create_array_with_length(env, 2, &array);
  napi_set_element(env, array, 0, numberTo(env, result));
  napi_set_element(env, array, 1, stringTo(env, problem));
  return array;
}

// (index, labels, vectors) → [result, problem]
static napi_value add(napi_env env, napi_callback_info info) {
  Arguments<3> arguments(env, info);
  Index* index = indexOf(env, arguments[0]);
  if (index == nullptr) return nullptr;
  const View labels = viewOf(env, arguments[1]);
  const View vectors = viewOf(env, arguments[2]);
  if (vectors.length != labels.length * index->graph().space().dimension()) {
    throwError(env, "one vector per label");
    return nullptr;
  }
  Calls& calls = callsOf(env);
  napi_value promise = nullptr;
  Calls::Call* call = calls.begin(env, {vectors.buffer}, &promise);
  const auto done = [&calls, call, index = index->shared_from_this()](AddJob& job) {
    const int result = !job.hasFailed() ? 0 : job.isDiskProblem() ? 2 : 1;
    const auto failed = result == 0 ? nullptr : index;
    calls.end(call, [result, problem = job.problem(), slots = job.failedSlots(), failed](napi_env env) {
      if (failed != nullptr) failed->withdraw(slots);
      return additionTo(env, result, problem);
    });
  };
  try {
    std::vector<uint32_t> slots = index->assign(static_cast<uint32_t*>(labels.data), labels.length);
    index->pool().submit(std::make_shared<AddJob>(index->shared_from_this(), std::move(slots), static_cast<float*>(vectors.data), done));
  } catch (const std::exception& failure) {
    const int result = dynamic_cast<const std::system_error*>(&failure) != nullptr ? 2 : 1;
    calls.end(call, [result, problem = std::string(failure.what())](napi_env env) { return additionTo(env, result, problem); });
  }
  return promise;
}

static napi_value removeLabels(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Index* index = indexOf(env, arguments[0]);
  if (index == nullptr) return nullptr;
  const View labels = viewOf(env, arguments[1]);
  index->remove(static_cast<uint32_t*>(labels.data), labels.length);
  return undefinedIn(env);
}

// (index, queries, answer, k, ef, useScan, visitMax, filterWords | undefined, filterCount) → undefined, when `answer` is
// filled: i32 cancelled (set by the caller), i32 scanned, u32 visited, i32 failed; then counts, labels, distances.
static napi_value search(napi_env env, napi_callback_info info) {
  Arguments<9> arguments(env, info);
  Index* index = indexOf(env, arguments[0]);
  if (index == nullptr) return nullptr;
  const View queries = viewOf(env, arguments[1]);
  const View answer = viewOf(env, arguments[2]);
  uint32_t* words = static_cast<uint32_t*>(answer.data);
  SearchRequest request;
  request.queries = static_cast<float*>(queries.data);
  request.queryCount = queries.length / index->graph().space().dimension();
  request.k = uint32_t(numberOf(env, arguments[3]));
  request.ef = uint32_t(numberOf(env, arguments[4]));
  request.useScan = numberOf(env, arguments[5]) != 0;
  request.visitMax = size_t(numberOf(env, arguments[6]));
  napi_valuetype type;
  napi_typeof(env, arguments[7], &type);
  request.hasFilter = type == napi_object;
  if (request.hasFilter) {
    const View filter = viewOf(env, arguments[7]);
    const uint32_t* bits = static_cast<uint32_t*>(filter.data);
    request.filterWords.assign(bits, bits + filter.length);
  }
  request.filterCount = size_t(numberOf(env, arguments[8]));
  if (answer.length < 4 + request.queryCount * (1 + 2ul * request.k)) {
    throwError(env, "the answer has too little room");
    return nullptr;
  }
  request.cancelled = reinterpret_cast<std::atomic<int32_t>*>(words);
  request.counts = words + 4;
  request.labels = request.counts + request.queryCount;
  request.distances = reinterpret_cast<float*>(request.labels + request.queryCount * request.k);
  Calls& calls = callsOf(env);
  napi_value promise = nullptr;
  Calls::Call* call = calls.begin(env, {answer.buffer}, &promise);
  const auto done = [&calls, call, words](SearchJob& job) {
    words[1] = job.hasScanned() ? 1 : 0;
    words[2] = uint32_t(std::min<uint64_t>(job.visitedCount(), UINT32_MAX));
    words[3] = job.hasFailed() ? 1 : 0;
    // One without queries never was with a thread of the pool.
    calls.end(call, undefinedIn, job.itemCount() == 0 ? Calls::Wake::AtOnce : Calls::Wake::WithOthers);
  };
  calls.submitAtTurnEnd(std::make_shared<SearchJob>(index->shared_from_this(), std::move(request), done));
  return promise;
}

// (index) → how many labels it has. Each search asks, so it takes no lock.
static napi_value sizeOf(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Index* index = indexOf(env, arguments[0]);
  return index == nullptr ? nullptr : numberTo(env, double(index->size()));
}

// (metric, query, query offset, dimension, block, places, count, distances): one query against rows of a block, at once.
static napi_value distances(napi_env env, napi_callback_info info) {
  Arguments<8> arguments(env, info);
  const Metric metric = Metric(uint32_t(numberOf(env, arguments[0])));
  const View query = viewOf(env, arguments[1]);
  const size_t offset = size_t(numberOf(env, arguments[2]));
  const size_t dimension = size_t(numberOf(env, arguments[3]));
  const View block = viewOf(env, arguments[4]);
  const View places = viewOf(env, arguments[5]);
  const size_t count = size_t(numberOf(env, arguments[6]));
  const View found = viewOf(env, arguments[7]);
  const size_t rowCount = dimension == 0 ? 0 : block.length / dimension;
  if (offset + dimension > query.length || count > places.length || count > found.length) {
    throwError(env, "the arrays are too short");
    return nullptr;
  }
  const float* prepared = static_cast<const float*>(query.data) + offset;
  const float* rows = static_cast<const float*>(block.data);
  const uint32_t* place = static_cast<const uint32_t*>(places.data);
  double* out = static_cast<double*>(found.data);
  const Kernels& kernels = bestKernels();
  constexpr size_t group = 64;
  const float* at[group];
  float results[group];
  for (size_t start = 0; start < count; start += group) {
    const size_t size = std::min(group, count - start);
    for (size_t i = 0; i < size; i++) {
      if (place[start + i] >= rowCount) {
        throwError(env, "a place is outside the block");
        return nullptr;
      }
      at[i] = rows + size_t(place[start + i]) * dimension;
    }
    if (metric == Metric::Euclidean) kernels.squaredL2Many(prepared, at, size, dimension, results);
    else kernels.dotMany(prepared, at, size, dimension, results);
    for (size_t i = 0; i < size; i++) {
      out[start + i] = metric == Metric::Euclidean ? results[i] : metric == Metric::Cosine ? 1 - results[i] : -results[i];
    }
  }
  return undefinedIn(env);
}

static napi_value labelsOf(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Index* index = indexOf(env, arguments[0]);
  if (index == nullptr) return nullptr;
  const std::vector<uint32_t> labels = index->labels();
  void* data = nullptr;
  napi_value buffer = nullptr, array = nullptr;
  if (napi_create_arraybuffer(env, labels.size() * 4, &data, &buffer) != napi_ok) return nullptr;
  if (!labels.empty()) std::memcpy(data, labels.data(), labels.size() * 4);
  napi_create_typedarray(env, napi_uint32_array, labels.size(), buffer, 0, &array);
  return array;
}

// (index) → [size, memory bytes, removed, repairing]
static napi_value facts(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Index* index = indexOf(env, arguments[0]);
  if (index == nullptr) return nullptr;
  napi_value array = nullptr;
  napi_create_array_with_length(env, 3, &array);
  const double numbers[] = {double(index->memoryBytes()), double(index->removedCount()), index->isRepairing() ? 1.0 : 0.0};
  for (uint32_t i = 0; i < 3; i++) napi_set_element(env, array, i, numberTo(env, numbers[i]));
  return array;
}

// (index) → undefined, when no pass of repair is under way
static napi_value repaired(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Index* index = indexOf(env, arguments[0]);
  if (index == nullptr) return nullptr;
  Calls& calls = callsOf(env);
  napi_value promise = nullptr;
  Calls::Call* call = calls.begin(env, {}, &promise);
  index->whenRepaired([&calls, call] { calls.end(call, undefinedIn); });
  return promise;
}

static napi_value outcomeTo(napi_env env, const ImageOutcome& outcome) {
  napi_value array = nullptr;
  napi_create_array_with_length(env, 4, &array);
  napi_set_element(env, array, 0, numberTo(env, int(outcome.result)));
  napi_set_element(env, array, 1, stringTo(env, outcome.problem));
  napi_set_element(env, array, 2, numberTo(env, double(outcome.part.sizeBytes)));
  napi_set_element(env, array, 3, numberTo(env, outcome.part.checksum));
  return array;
}

// (index) → a moment of the index, for `writeImage`, exactly once
static napi_value takeSnapshot(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Index* index = indexOf(env, arguments[0]);
  if (index == nullptr) return nullptr;
  index->holdSlots(true);
  LabelSnapshot* const snapshot = new LabelSnapshot(index->snapshot());
  napi_value value = nullptr;
  const napi_status status = napi_create_external(env, snapshot, [](napi_env, void* data, void*) { delete static_cast<LabelSnapshot*>(data); }, nullptr, &value);
  if (status != napi_ok) {
    index->holdSlots(false);
    delete snapshot;
  }
  return value;
}

// (index, snapshot, isBase, path) → [result, problem, sizeBytes, checksum]. Files are written and read by threads of their
// own: they wait for the disk.
static napi_value write(napi_env env, napi_callback_info info) {
  Arguments<4> arguments(env, info);
  Index* index = indexOf(env, arguments[0]);
  if (index == nullptr) return nullptr;
  void* data = nullptr;
  napi_get_value_external(env, arguments[1], &data);
  LabelSnapshot* snapshot = static_cast<LabelSnapshot*>(data);
  const bool isBase = numberOf(env, arguments[2]) != 0;
  Calls& calls = callsOf(env);
  napi_value promise = nullptr;
  Calls::Call* call = calls.begin(env, {arguments[1]}, &promise);
  std::thread([&calls, call, snapshot, isBase, index = index->shared_from_this(), path = stringOf(env, arguments[3])] {
    const ImageOutcome outcome = writeImage(*index, *snapshot, isBase, path);
    index->holdSlots(false);
    calls.end(call, [outcome](napi_env env) { return outcomeTo(env, outcome); });
  }).detach();
  return promise;
}

// (index, paths, sizes, checksums) → [result, problem, …]
static napi_value read(napi_env env, napi_callback_info info) {
  Arguments<4> arguments(env, info);
  Index* index = indexOf(env, arguments[0]);
  if (index == nullptr) return nullptr;
  uint32_t count = 0;
  napi_get_array_length(env, arguments[1], &count);
  std::vector<ImagePart> parts(count);
  for (uint32_t i = 0; i < count; i++) {
    napi_value element = nullptr;
    napi_get_element(env, arguments[1], i, &element);
    parts[i].path = stringOf(env, element);
    napi_get_element(env, arguments[2], i, &element);
    parts[i].sizeBytes = uint64_t(numberOf(env, element));
    napi_get_element(env, arguments[3], i, &element);
    parts[i].checksum = uint32_t(numberOf(env, element));
  }
  Calls& calls = callsOf(env);
  napi_value promise = nullptr;
  Calls::Call* call = calls.begin(env, {}, &promise);
  std::thread([&calls, call, index = index->shared_from_this(), parts = std::move(parts)] {
    const ImageOutcome outcome = readImages(*index, parts);
    calls.end(call, [outcome](napi_env env) { return outcomeTo(env, outcome); });
  }).detach();
  return promise;
}

// () → undefined. The threads of the store and of V8 free much that glibc keeps for each of them. Pages go back while their
// part of the heap is locked, so that is not done in the event loop's thread; it waits only if it allocates meanwhile.
static napi_value returnFreedMemory(napi_env env, napi_callback_info) {
  Calls& calls = callsOf(env);
  napi_value promise = nullptr;
  Calls::Call* call = calls.begin(env, {}, &promise);
  std::thread([&calls, call] {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    calls.end(call, undefinedIn);
  }).detach();
  return promise;
}

static napi_value setThreads(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  ThreadPool::ofProcess().setThreadCount(uint32_t(numberOf(env, arguments[0])));
  return numberTo(env, ThreadPool::ofProcess().threadCount());
}

static napi_value kernelName(napi_env env, napi_callback_info) { return stringTo(env, bestKernels().name); }

// (name, operation, a, b) → the kernel's result, or undefined when this processor has no such kernels: for tests.
static napi_value compare(napi_env env, napi_callback_info info) {
  Arguments<4> arguments(env, info);
  const Kernels* kernels = kernelsNamed(stringOf(env, arguments[0]).c_str());
  if (kernels == nullptr) return undefinedIn(env);
  const std::string operation = stringOf(env, arguments[1]);
  const View a = viewOf(env, arguments[2]);
  const View b = viewOf(env, arguments[3]);
  const float* floats = static_cast<float*>(a.data);
  const float* others = static_cast<float*>(b.data);
  const int8_t* bytes = static_cast<int8_t*>(a.data);
  const int8_t* otherBytes = static_cast<int8_t*>(b.data);
  float one = 0;
  int32_t whole = 0;
  if (operation == "dot") return numberTo(env, kernels->dot(floats, others, a.length));
  if (operation == "squaredL2") return numberTo(env, kernels->squaredL2(floats, others, a.length));
  if (operation == "dotInt8") return numberTo(env, kernels->dotInt8(bytes, otherBytes, a.length));
  if (operation == "dotMany") return kernels->dotMany(floats, &others, 1, a.length, &one), numberTo(env, one);
  if (operation == "squaredL2Many") return kernels->squaredL2Many(floats, &others, 1, a.length, &one), numberTo(env, one);
  if (operation == "dotInt8Many") return kernels->dotInt8Many(bytes, &otherBytes, 1, a.length, &whole), numberTo(env, whole);
  return undefinedIn(env);
}

static napi_value init(napi_env env, napi_value exports) {
  // Never deleted: a job may end after its environment.
  napi_set_instance_data(env, new Calls(env), nullptr, nullptr);
  const std::pair<const char*, napi_callback> functions[] = {
      {"create", create},     {"close", closeIndex},   {"add", add},      {"remove", removeLabels}, {"search", search},
      {"labels", labelsOf},   {"size", sizeOf},       {"facts", facts},        {"distances", distances}, {"snapshot", takeSnapshot}, {"write", write}, {"read", read},
      {"repaired", repaired}, {"returnFreedMemory", returnFreedMemory}, {"setThreads", setThreads}, {"kernelName", kernelName}, {"compare", compare}};
  for (const auto& [name, callback] : functions) {
    napi_value function = nullptr;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
    napi_set_named_property(env, exports, name, function);
  }
  return exports;
}

}  // namespace shoal

NAPI_MODULE(NODE_GYP_MODULE_NAME, shoal::init)
