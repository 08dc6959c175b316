#include "services/order/owned_read.h"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <utility>

#include "base/io/system_clock.h"
#include "base/parse.h"
#include "client/row.h"

namespace tidemark::order {
namespace {

using client::Callback;
using client::Database;
using shardrouter::BucketRefusal;
using shardrouter::BucketState;
using shardrouter::ResultSet;
using shardrouter::Statement;
using Answer = Result<std::vector<ResultSet>>;

constexpr const char* kOwnerSql = "SELECT state, epoch, forward FROM shard.bucket WHERE bucket = $1::int";

// What the shard says about the bucket; an owner that is none has an epoch of another state.
BucketRefusal ownership_of(const ResultSet& set) {
  BucketRefusal ownership;
  if (set.rows.empty()) return ownership;
  const client::Row row(set, 0);
  if (auto state = row.find("state"))
    ownership.state = shardrouter::parse_bucket_state(*state).value_or(BucketState::kAbsent);
  ownership.epoch = static_cast<BucketEpoch>(row.integer("epoch").value_or(0));
  auto forward = row.find("forward");
  if (auto shard = forward ? parse_u64(*forward) : std::nullopt) ownership.forward = static_cast<ShardId>(*shard);
  return ownership;
}

class Reading : public std::enable_shared_from_this<Reading> {
 public:
  Reading(std::shared_ptr<Database> database, OwnedRead read, Callback<Answer> done)
      : database_(std::move(database)),
        read_(std::move(read)),
        deadline_(io::steady_now() + read_.timeout),
        done_(std::move(done)) {}

  void attempt() {
    ++attempts_;
    auto owner = database_->owner_of(read_.bucket);
    shardrouter::ShardPool* pool = owner ? database_->pool(owner->shard) : nullptr;
    if (pool == nullptr) {
      return done_(fail(ErrorCode::kFailedPrecondition,
                        "bucket " + std::to_string(read_.bucket) + " has no shard in the topology"));
    }
    shardrouter::Pipeline pipeline;
    pipeline.groups.push_back({Statement{.sql = kOwnerSql, .params = {std::to_string(read_.bucket)}}});
    for (const Statement& statement : read_.statements) pipeline.groups[0].push_back(statement);
    const Duration timeout = std::max(Duration::zero(), deadline_ - io::steady_now());
    pool->run(
        shardrouter::ShardPool::Target::kPrimary, Lsn{}, std::move(pipeline), timeout,
        [self = shared_from_this(), owner = *owner](Answer answer) { self->on_answer(owner, std::move(answer)); });
  }

 private:
  void on_answer(BucketOwner asked, Answer answer) {
    if (!answer) return done_(std::unexpected(std::move(answer.error())));
    const BucketRefusal ownership = ownership_of(answer->at(0));
    if (ownership.state == BucketState::kOwned) {
      answer->erase(answer->begin());
      return done_(std::move(answer));
    }
    if (database_->heal(read_.bucket, asked, ownership) && attempts_ < kOwnedReadAttemptsMax) return attempt();
    done_(fail(ErrorCode::kUnavailable,
               "bucket " + std::to_string(read_.bucket) + " is moving: " + ownership.to_string() + "; try again"));
  }

  std::shared_ptr<Database> database_;
  OwnedRead read_;
  Instant deadline_;
  Callback<Answer> done_;
  int attempts_ = 0;
};

}  // namespace

void read_owned(boost::asio::io_context& context, std::shared_ptr<Database> database, OwnedRead read,
                Callback<Answer> done) {
  auto reading = std::make_shared<Reading>(std::move(database), std::move(read), std::move(done));
  boost::asio::dispatch(context, [reading] { reading->attempt(); });
}

}  // namespace tidemark::order
