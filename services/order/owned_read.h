// Reads rows of one bucket on the primary of its shard, past the cache, and makes sure that the shard owns the bucket:
// one that does not any more would answer "no rows" for an answer.
//
//   read_owned(db, {.bucket = 7, .statements = {…}, .timeout = …}, done)   ->  one ResultSet for each statement
//
// A shard that does not own the bucket heals the map, and its successor is asked (kOwnedReadAttemptsMax in all).
// Threads: from any thread; `done` on the database's loop. I/O: the database.
#pragma once

#include <memory>
#include <vector>

#include "base/slot.h"
#include "client/completion.h"
#include "client/database.h"
#include "shardrouter/sql/statement.h"

namespace boost::asio {
class io_context;
}

namespace tidemark::order {

inline constexpr int kOwnedReadAttemptsMax = 3;

struct OwnedRead {
  Bucket bucket = 0;
  std::vector<shardrouter::Statement> statements;
  Duration timeout{};
};

void read_owned(boost::asio::io_context& context, std::shared_ptr<client::Database> database, OwnedRead read,
                client::Callback<Result<std::vector<shardrouter::ResultSet>>> done);

}  // namespace tidemark::order
