// The scripts: races R1-R4, R20, R27 of the race catalogue and the attacks on the protocol's first drafts.
#pragma once

#include <chrono>
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
  bool expects_fills = true;      // in some orders a fill must succeed: safety by refusing everything does not count
  bool expects_installs = false;  // likewise for staged values
};

std::vector<Scenario> scenarios();

// Steps that several tests use.
using WorldStep = Step<World>;
Script<World> primary_loader(size_t loader);  // GETL, SELECT, SETV
Script<World> standby_loader(size_t loader);  // GETL, replay position, SELECT, SETV
WorldStep getl(size_t loader);
WorldStep take_fence(std::chrono::seconds after = std::chrono::seconds(0));
WorldStep apply_fence();
WorldStep del();
WorldStep post_invalb(size_t invalidator);
WorldStep post_fence(size_t invalidator);
WorldStep deliver(size_t invalidator);
WorldStep lose(size_t invalidator);
Script<World> standby_replays(size_t commits);  // data, position, data, position, …
WorldStep visible(size_t commit);
WorldStep invalb();
World recorded_world(const Ingredients& ingredients, size_t commits, cacheserver::FreshnessLimits limits = {});

}  // namespace tidemark::interleave
