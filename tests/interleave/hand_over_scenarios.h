// The hand-over of a bucket from one shard to another, seen by a cache that hears of it late (PROTOCOL.md).
#pragma once

#include "tests/interleave/scenarios.h"

namespace tidemark::interleave {

std::vector<Scenario> hand_over_scenarios();
// The same with a mover that lets the other shard own the bucket before the first one's log says so: a mistake.
Scenario fence_behind_the_flip();

}  // namespace tidemark::interleave
