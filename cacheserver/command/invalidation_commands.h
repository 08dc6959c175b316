// The invalidator's half of the freshness commands, and the one way in which keys are invalidated.
#pragma once

#include <cstddef>

#include "cacheserver/command/command.h"
#include "cacheserver/freshness/freshness_state.h"

namespace tidemark::cacheserver {

// Drops each key's entry unless it provably contains the commit, ends its lease, leaves a tombstone.
// Returns how many keys had an entry.
size_t invalidate_keys(CommandContext& context, const FreshnessState::Commit& commit, Arguments keys);

void invalb(CommandContext& context, Arguments arguments);
void fence(CommandContext& context, Arguments arguments);
void epoch(CommandContext& context, Arguments arguments);
void fenceall(CommandContext& context, Arguments arguments);
void tide(CommandContext& context, Arguments arguments);

}  // namespace tidemark::cacheserver
