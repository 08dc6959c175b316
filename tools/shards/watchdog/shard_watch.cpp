#include "tools/shards/watchdog/shard_watch.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include "base/parse.h"

namespace tidemark::shards {
namespace {

constexpr int kAnswerPollMs = 50;

// Moves that have ended here are told for a while: the other side may not be tidied up yet.
constexpr const char* kLook =
    "SELECT move_id, role = 'source', step, peer, wish, is_held, "
    "greatest(0, extract(epoch FROM clock_timestamp() - heartbeat) * 1000)::bigint FROM shard.move "
    "WHERE ended_at IS NULL OR ended_at > clock_timestamp() - interval '1 day' ORDER BY started_at DESC LIMIT {}";

}  // namespace

ShardWatch::ShardWatch(ShardEnd end, std::chrono::milliseconds interval, std::chrono::milliseconds reconnect_interval,
                       std::chrono::milliseconds answer_limit)
    : end_(std::move(end)),
      interval_(interval),
      reconnect_interval_(reconnect_interval),
      answer_limit_(answer_limit),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

ShardWatch::~ShardWatch() = default;

std::optional<std::vector<SeenMove>> ShardWatch::newest() const {
  const std::scoped_lock lock(mutex_);
  if (!seen_at_ || Clock::now() - *seen_at_ > answer_limit_) return std::nullopt;
  return seen_;
}

std::string ShardWatch::error() const {
  const std::scoped_lock lock(mutex_);
  if (!error_.empty() || !seen_at_ || Clock::now() - *seen_at_ <= answer_limit_) return error_;
  return fmt::format("shard {} has said nothing for {} ms", end_.id,
                     std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - *seen_at_).count());
}

void ShardWatch::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    auto seen = look();
    if (!seen) link_.reset();
    const auto pause = seen ? interval_ : reconnect_interval_;
    {
      const std::scoped_lock lock(mutex_);
      error_ = seen ? "" : seen.error().message;
      if (seen) {
        seen_ = std::move(*seen);
        seen_at_ = Clock::now();
      }
    }
    std::this_thread::sleep_for(pause);
  }
}

Result<std::vector<SeenMove>> ShardWatch::look() {
  if (!link_) {
    auto opened = PgLink::connect(fmt::format("shard {}", end_.id), end_.admin);
    if (!opened) return std::unexpected(opened.error());
    link_.emplace(std::move(*opened));
  }
  if (const Status sent = link_->send(fmt::format(kLook, kRowsMax)); !sent) return std::unexpected(sent.error());
  const auto give_up = Clock::now() + answer_limit_;
  while (PQisBusy(link_->raw()) != 0) {
    if (Clock::now() > give_up)
      return fail(ErrorCode::kUnavailable,
                  fmt::format("shard {} did not answer within {} ms", end_.id, answer_limit_.count()));
    wait_readable({link_->socket()}, kAnswerPollMs);
    if (PQconsumeInput(link_->raw()) != 1) return std::unexpected(link_->error());
  }
  const auto set = link_->receive();
  if (!set) return std::unexpected(set.error());
  std::vector<SeenMove> moves;
  for (const auto& c : set->rows)
    moves.push_back({c[0].value_or(""), c[1] == "t", c[2].value_or(""),
                     static_cast<ShardId>(parse_u64(c[3].value_or("0")).value_or(0)),
                     shardrouter::parse_move_wish(c[4].value_or("run")).value_or(shardrouter::MoveWish::kRun),
                     c[5] == "t", std::chrono::milliseconds(parse_i64(c[6].value_or("0")).value_or(0))});
  return moves;
}

}  // namespace tidemark::shards
