// The scripts of staged write-through: R7, R8, F3, F8 and what may happen to a STAGE on its way.
#pragma once

#include <vector>

#include "tests/interleave/scenarios.h"

namespace tidemark::interleave {

std::vector<Scenario> staged_scenarios();

}  // namespace tidemark::interleave
