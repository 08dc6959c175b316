// Buckets moved to and fro between two shards with standbys, while writers and readers use them.
//
// Each round is one `tidemark-shards move`, run as a program. With kill_every_step a tool that can die is used instead
// (tidemark-shards-killable): every round kills it at another step, and the same command again must finish the move.
// At the end the books are closed: nothing lost, nothing twice, never two owners, nothing left over.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace tidemark::trials {

struct BucketMoveArguments {
  std::string directory;
  uint32_t rounds = 20;
  uint32_t buckets = 4;
  uint64_t rows = 20'000;
  uint32_t writes = 400;
  uint32_t reads = 400;
  bool kill_every_step = false;
  bool crash_servers = false;  // each round the source or the target is stopped at once somewhere, and started again
  bool beside_subscription = false;  // each move back is made by a subscription and a script
  bool fsync = false;
  std::string json;
};

Result<bool> run_bucket_move(const BucketMoveArguments& arguments);  // false: the books are not clean, and it was said

}  // namespace tidemark::trials
