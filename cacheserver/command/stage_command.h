// STAGE, and the installation of staged values once their commits have settled.
#pragma once

#include "base/topology/topology.h"
#include "cacheserver/command/command.h"

namespace tidemark::cacheserver {

void stage(CommandContext& context, Arguments arguments);

// Installs what has been confirmed and has settled, at most a bounded number: the rest waits for the next FENCE.
// INVALB and FENCE call it after they are applied.
void install_settled(CommandContext& context, ShardId shard);

}  // namespace tidemark::cacheserver
