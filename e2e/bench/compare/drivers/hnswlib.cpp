// The floor: hnswlib's graph in a program of its own, with the compiler's best code for this machine and no server around it.
// The protocol stands in driven-peer.ts. Cosine is the inner product of normalised vectors.

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "hnswlib.h"

namespace {

using Clock = std::chrono::steady_clock;
using Graph = hnswlib::HierarchicalNSW<float>;

constexpr size_t rowsPerRead = 1000;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void normalise(float *vector, size_t dimension) {
  float square = 0;
  for (size_t at = 0; at < dimension; at++) square += vector[at] * vector[at];
  const float scale = square > 0 ? 1 / std::sqrt(square) : 0;
  for (size_t at = 0; at < dimension; at++) vector[at] *= scale;
}

/** Up to `count` rows from an open file. */
std::vector<float> readRows(std::ifstream &file, size_t count, size_t dimension) {
  std::vector<float> rows(count * dimension);
  if (!file.read(reinterpret_cast<char *>(rows.data()), static_cast<std::streamsize>(rows.size() * sizeof(float)))) throw std::runtime_error("a file of vectors ends early");
  for (size_t row = 0; row < count; row++) normalise(&rows[row * dimension], dimension);
  return rows;
}

template <typename Value> void writeFile(const std::string &path, const std::vector<Value> &values) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char *>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(Value)));
  if (!file) throw std::runtime_error("cannot write " + path);
}

struct Index {
  std::unique_ptr<hnswlib::InnerProductSpace> space;
  std::unique_ptr<Graph> graph;
  std::string directory;
  size_t dimension = 0;
  bool changed = false;

  std::string path() const { return directory + "/graph"; }

  void create(const std::string &where, size_t dimensions, size_t points, size_t m, size_t efConstruction) {
    directory = where;
    dimension = dimensions;
    space = std::make_unique<hnswlib::InnerProductSpace>(dimension);
    graph = std::make_unique<Graph>(space.get(), points, m, efConstruction, 42);
    changed = true;
  }

  void open(const std::string &where, size_t dimensions) {
    directory = where;
    dimension = dimensions;
    space = std::make_unique<hnswlib::InnerProductSpace>(dimension);
    graph = std::make_unique<Graph>(space.get(), path());
  }

  void insert(const std::string &path, size_t count) {
    std::ifstream file(path, std::ios::binary);
    for (size_t first = 0; first < count; first += rowsPerRead) {
      const size_t rows = std::min(rowsPerRead, count - first);
      const auto vectors = readRows(file, rows, dimension);
      for (size_t row = 0; row < rows; row++) graph->addPoint(&vectors[row * dimension], first + row);
    }
  }

  double search(const std::string &path, size_t count, size_t k, size_t ef, size_t threadCount, const std::string &answerPath, const std::string &latencyPath) {
    std::ifstream file(path, std::ios::binary);
    const auto queries = readRows(file, count, dimension);
    std::vector<int32_t> answers(count * k, -1);
    std::vector<double> latencies(count);
    std::atomic<size_t> next{0};
    graph->setEf(ef);
    const auto lane = [&] {
      for (size_t query; (query = next++) < count;) {
        const auto sent = Clock::now();
        auto found = graph->searchKnn(&queries[query * dimension], k);
        for (size_t at = found.size(); at-- > 0; found.pop()) answers[query * k + at] = static_cast<int32_t>(found.top().second);
        latencies[query] = secondsSince(sent) * 1000;
      }
    };
    const auto started = Clock::now();
    std::vector<std::thread> threads;
    for (size_t at = 1; at < threadCount; at++) threads.emplace_back(lane);
    lane();
    for (auto &thread : threads) thread.join();
    const double seconds = secondsSince(started);
    writeFile(answerPath, answers);
    writeFile(latencyPath, latencies);
    return seconds;
  }

  void end() {
    if (graph && changed) graph->saveIndex(path());
  }
};

double perform(Index &index, const std::vector<std::string> &words) {
  const auto number = [&](size_t at) { return static_cast<size_t>(std::stoull(words.at(at))); };
  const auto started = Clock::now();
  const std::string &verb = words.at(0);
  if (verb == "create") index.create(words.at(1), number(2), number(3), number(4), number(5));
  else if (verb == "import") index.insert(words.at(1), number(2));
  else if (verb == "open") index.open(words.at(1), number(2));
  else if (verb == "search") return index.search(words.at(1), number(2), number(3), number(4), number(5), words.at(6), words.at(7));
  else if (verb == "end") index.end();
  else throw std::runtime_error("unknown: " + verb);
  return secondsSince(started);
}

}  // namespace

int main() {
  Index index;
  for (std::string line; std::getline(std::cin, line);) {
    std::vector<std::string> words;
    std::istringstream stream(line);
    for (std::string word; std::getline(stream, word, '\t');) words.push_back(word);
    try {
      std::cout << "ok\t" << perform(index, words) << std::endl;
    } catch (const std::exception &error) {
      std::cout << "error\t" << error.what() << std::endl;
    }
  }
}
