#include "services/platform/schema_lease.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>

#include "base/io/row_id_source.h"

namespace tidemark::services {

Status SchemaLease::open(client::Client& client, const Settings& settings, const std::string& program, io::Log log) {
  if (settings.understands.empty()) return {};
  client::SchemaReaderOptions options;
  options.name = io::instance_name(settings.instance, program);
  options.understands = settings.understands;
  options.on_refused = [this, log](ShardId shard, const Error& error) mutable {
    is_outdated_ = true;
    log.error("the schema has moved on: a newer program is needed", {{"shard", shard}, {"error", error.to_string()}});
  };
  context_ = &client.context();
  auto reader = client::SchemaReader::create(*context_, client.database(), std::move(options));
  if (!reader) return std::unexpected(reader.error().with_context("--understands"));
  reader_ = std::move(*reader);
  std::promise<Status> accepted;
  boost::asio::post(*context_, [&] { reader_->start([&](Status status) { accepted.set_value(std::move(status)); }); });
  return accepted.get_future().get();
}

void SchemaLease::close() {
  if (reader_ == nullptr) return;
  std::promise<void> closed;
  boost::asio::post(*context_, [&] { reader_->close([&] { closed.set_value(); }); });
  closed.get_future().wait();
  reader_.reset();
}

}  // namespace tidemark::services
