// The scripts: races R1-R4, R20, R27 of the race catalogue and the attacks on the protocol's first drafts.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/interleave/explorer.h"
#include "tests/interleave/world.h"

namespace tidemark::interleave {

struct Scenario {
  std::string name;
  std::function<World(const Ingredients&)> make_world;
  std::vector<Script<World>> scripts;
  bool expects_fills = true;  // in some orders a fill must succeed: safety by refusing everything does not count
};

std::vector<Scenario> scenarios();

// Steps that several tests use.
using WorldStep = Step<World>;
Script<World> primary_loader(size_t loader);    // GETL, SELECT, SETV
Script<World> standby_loader(size_t loader);    // GETL, replay position, SELECT, SETV
Script<World> standby_replays(size_t commits);  // data, position, data, position, …
WorldStep visible(size_t commit);
WorldStep invalb();
World recorded_world(const Ingredients& ingredients, size_t commits, cacheserver::FreshnessLimits limits = {});

}  // namespace tidemark::interleave
