// A program's word to the shards about the schema it understands (--understands), from its start to its end.
//
// Threads: open() and close() from any thread but the client's loop, which they wait for; is_outdated() from any.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/io/log.h"
#include "client/client.h"
#include "client/schema_reader.h"
#include "services/platform/settings.h"

namespace tidemark::services {

class SchemaLease {
 public:
  // Nothing to do without settings.understands. kFailedPrecondition: the schema has moved on without this program.
  Status open(client::Client& client, const Settings& settings, const std::string& program, io::Log log);
  void close();  // before the client is closed; also when nothing was opened

  // A shard has refused it since: it must be replaced by a newer program.
  bool is_outdated() const { return is_outdated_; }

 private:
  boost::asio::io_context* context_ = nullptr;
  std::shared_ptr<client::SchemaReader> reader_;
  std::atomic<bool> is_outdated_ = false;
};

}  // namespace tidemark::services
