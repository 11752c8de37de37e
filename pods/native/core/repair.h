// The pass that takes removed nodes out of the graph: see graph-repair.cpp for what happens to each node.
#pragma once

#include <memory>

namespace shoal {

class Index;

// By whoever has set `isRepairing`.
void startRepair(std::shared_ptr<Index> index);

}  // namespace shoal
