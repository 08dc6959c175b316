// Tells every shard which schema this program understands, and keeps telling it, so that `tidemark-shards migrate
// contract` takes nothing away that it still reads.
//
//   auto reader = SchemaReader::create(context, database, {.name = "order-1", .understands = "0003_discount"});
//   reader->start([](Status accepted) { … serve, or give up: a newer program is needed … });
//
// `understands` is the id of the newest migration whose expand the program knows. A shard that has contracted a later
// one refuses (SH011): start() answers kFailedPrecondition at once. A shard that does not answer is asked again for
// start_timeout, then start() answers what it said last. Afterwards every shard, also one that joined, is told again
// each `renew_every`; a refusal then goes to on_refused (it takes a program that was cut off for longer than
// `lifetime`). Leases run out by themselves; close() gives them back where a shard answers within kFarewellTimeout.
// Threads: the context's, all of it. Limits: one statement per shard at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "client/database.h"

namespace tidemark::client {

struct SchemaReaderOptions {
  std::string name;         // unique among programs: its instance
  std::string understands;  // "0003_discount"
  Duration lifetime = std::chrono::minutes(1);
  Duration renew_every = std::chrono::seconds(15);
  Duration retry_pause = std::chrono::milliseconds(500);
  Duration timeout = std::chrono::seconds(5);  // of one statement
  Duration start_timeout = std::chrono::seconds(30);
  std::function<void(ShardId, const Error&)> on_refused{};
};

class SchemaReader : public std::enable_shared_from_this<SchemaReader> {
 public:
  // kInvalidArgument: `understands` is no migration's id, or the name is empty.
  static Result<std::shared_ptr<SchemaReader>> create(boost::asio::io_context& context,
                                                      std::shared_ptr<Database> database, SchemaReaderOptions options);
  virtual ~SchemaReader() = default;

  // Once. `accepted` is called once, with an error at most after start_timeout.
  virtual void start(std::function<void(Status)> accepted) = 0;
  // No handler is called any more but `closed`, once every shard has answered or had its time. Once.
  static constexpr Duration kFarewellTimeout = std::chrono::seconds(1);
  virtual void close(std::function<void()> closed) = 0;
  virtual uint64_t failures() const = 0;  // statements that were refused or not answered
};

}  // namespace tidemark::client
