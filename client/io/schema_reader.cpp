#include "client/schema_reader.h"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "shardrouter/schema/migration_files.h"

namespace tidemark::client {
namespace {

namespace asio = boost::asio;

class SchemaReaderImpl final : public SchemaReader {
 public:
  SchemaReaderImpl(asio::io_context& context, std::shared_ptr<Database> database, SchemaReaderOptions options)
      : timer_(context), deadline_(context), database_(std::move(database)), options_(std::move(options)) {}

  void start(std::function<void(Status)> accepted) override {
    accepted_ = std::move(accepted);
    deadline_.expires_after(options_.start_timeout);
    deadline_.async_wait([self = shared()](boost::system::error_code error) {
      if (!error) self->answer(std::unexpected(self->last_error_));
    });
    begin_round();
  }

  void close(std::function<void()> closed) override {
    is_closed_ = true;
    timer_.cancel();
    deadline_.cancel();
    accepted_ = nullptr;
    // Whoever comes last lets `farewell` go, and that is the end.
    const std::shared_ptr<void> farewell(nullptr, [closed = std::move(closed)](void*) { closed(); });
    for (const ShardId shard : database_->shards())
      database_->async_on_shard(shard, {{"SELECT shard.forget_reader($1)", {options_.name}}}, kFarewellTimeout,
                                [farewell](const Result<std::vector<shardrouter::ResultSet>>&) {});
  }

  uint64_t failures() const override { return failures_; }

 private:
  std::shared_ptr<SchemaReaderImpl> shared() { return std::static_pointer_cast<SchemaReaderImpl>(shared_from_this()); }

  void begin_round() {
    if (is_closed_) return;
    const std::vector<ShardId> shards = database_->shards();
    waiting_ = shards.size();
    failed_in_round_ = false;
    if (shards.empty()) return end_round();
    const std::string lifetime = fmt::format("{} milliseconds", to_millis(options_.lifetime));
    for (const ShardId shard : shards)
      database_->async_on_shard(
          shard,
          {{"SELECT shard.register_reader($1, $2, $3::interval)", {options_.name, options_.understands, lifetime}}},
          options_.timeout, [self = shared(), shard](const Result<std::vector<shardrouter::ResultSet>>& done) {
            self->take(shard, done ? Status() : Status(std::unexpected(done.error())));
          });
  }

  void take(ShardId shard, const Status& done) {
    if (is_closed_) return;
    if (!done) {
      ++failures_;
      failed_in_round_ = true;
      last_error_ = done.error().with_context(fmt::format("shard {}", shard));
      if (done.error().message.find("SH011") != std::string::npos) refuse(shard, last_error_);
    }
    if (--waiting_ == 0) end_round();
  }

  void refuse(ShardId shard, const Error& error) {
    if (accepted_) return answer(std::unexpected(error));
    if (options_.on_refused) options_.on_refused(shard, error);
  }

  void end_round() {
    if (!failed_in_round_) answer({});
    timer_.expires_after(failed_in_round_ ? options_.retry_pause : options_.renew_every);
    timer_.async_wait([self = shared()](boost::system::error_code error) {
      if (!error) self->begin_round();
    });
  }

  void answer(Status accepted) {
    deadline_.cancel();
    if (const auto handler = std::exchange(accepted_, nullptr)) handler(std::move(accepted));
  }

  asio::steady_timer timer_, deadline_;
  std::shared_ptr<Database> database_;
  const SchemaReaderOptions options_;
  std::function<void(Status)> accepted_;
  Error last_error_{ErrorCode::kUnavailable, "no shard has answered"};
  size_t waiting_ = 0;
  uint64_t failures_ = 0;
  bool failed_in_round_ = false;
  bool is_closed_ = false;
};

}  // namespace

Result<std::shared_ptr<SchemaReader>> SchemaReader::create(asio::io_context& context,
                                                           std::shared_ptr<Database> database,
                                                           SchemaReaderOptions options) {
  if (options.name.empty()) return fail(ErrorCode::kInvalidArgument, "a reader of the schema needs a name");
  if (!shardrouter::number_of_migration(options.understands))
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("\"{}\" is no migration (NUMBER_NAME): it says which schema the program understands",
                            options.understands));
  return std::make_shared<SchemaReaderImpl>(context, std::move(database), std::move(options));
}

}  // namespace tidemark::client
