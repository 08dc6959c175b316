// A session store in memory with two copies, the primary's and what a cache or replica knows, that answers on its own
// loop.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "services/session/session_rules.h"
#include "services/session/session_store.h"

namespace tidemark::session {

class FakeSessionStore : public SessionStore {
 public:
  ~FakeSessionStore() override {
    work_.reset();
    if (std::this_thread::get_id() == thread_.get_id()) {
      thread_.detach();
    } else {
      thread_.join();
    }
  }

  void get(std::string digest, client::ReadOptions options, client::Callback<SessionAnswer> done) override {
    post([this, digest = std::move(digest), options, done = std::move(done)]() mutable {
      ++reads;
      last_options = options;
      if (read_error) return done(std::unexpected(*read_error));
      const bool is_primary = options.is_cache_bypassed && !options.may_use_replica;
      const auto& from = is_primary || !old_rows ? rows : *old_rows;
      auto found = from.find(digest);
      auto value = found == from.end() ? nullptr : std::make_shared<const pb::Session>(found->second);
      if (is_primary) return done(client::Cached<pb::Session>(value, client::Origin::kPrimary, 0, Instant{}));
      done(client::Cached<pb::Session>(value, origin, staleness_ms, Instant{}));
    });
  }
  void create(std::string digest, pb::Session session, client::WriteOptions,
              client::Callback<Result<pb::Session>> done) override {
    post([this, digest = std::move(digest), session = std::move(session), done = std::move(done)]() mutable {
      if (write_error) return done(std::unexpected(*write_error));
      session.set_row_version(1);
      rows[digest] = session;
      done(session);
    });
  }
  void touch(std::string digest, UnixMillis now, client::WriteOptions,
             client::Callback<Result<std::optional<pb::Session>>> done) override {
    post([this, digest = std::move(digest), now, done = std::move(done)]() mutable {
      ++touches;
      if (write_error) return done(std::unexpected(*write_error));
      auto found = rows.find(digest);
      if (found == rows.end() || has_ended(found->second, now) || !wants_touch(found->second, now))
        return done(std::nullopt);
      found->second.set_touched_ms(now.value);
      found->second.set_row_version(found->second.row_version() + 1);
      done(found->second);
    });
  }
  void revoke(std::string digest, client::WriteOptions, client::Callback<Result<bool>> done) override {
    post([this, digest = std::move(digest), done = std::move(done)]() mutable {
      if (write_error) return done(std::unexpected(*write_error));
      done(rows.erase(digest) > 0);
    });
  }

  // The sweep: what has ended is a list per shard, taken from the front.
  std::vector<ShardId> shards() override {
    std::vector<ShardId> ids;
    for (const auto& [shard, left] : ended) ids.push_back(shard);
    return ids;
  }
  void find_ended(ShardId shard, UnixMillis, size_t limit, Duration,
                  client::Callback<Result<std::vector<EndedSession>>> done) override {
    post([this, shard, limit, done = std::move(done)]() mutable {
      ++finds;
      if (failed_shards.contains(shard)) return done(std::unexpected(failed_shards.at(shard)));
      const size_t count = std::min(limit, ended.at(shard));
      done(std::vector<EndedSession>(count, {.bucket = static_cast<Bucket>(shard), .digest = "ab"}));
    });
  }
  void delete_ended(std::vector<EndedSession> gone, UnixMillis, Duration,
                    client::Callback<Result<std::optional<int64_t>>> done) override {
    post([this, gone = std::move(gone), done = std::move(done)]() mutable {
      const ShardId shard = gone.at(0).bucket;
      if (busy_shards.contains(shard)) return done(std::nullopt);
      const size_t count = are_deletes_futile ? 0 : gone.size();
      ended.at(shard) -= count;
      done(static_cast<int64_t>(count));
    });
  }

  // Set before calls, read after them.
  std::map<std::string, pb::Session> rows;                     // by digest, on the primary
  std::optional<std::map<std::string, pb::Session>> old_rows;  // what reads off the primary see; nullopt: the same
  client::Origin origin = client::Origin::kNode;
  int64_t staleness_ms = 40;
  std::optional<Error> read_error, write_error;
  client::ReadOptions last_options;
  int reads = 0, touches = 0, finds = 0;
  std::map<ShardId, size_t> ended;
  std::map<ShardId, Error> failed_shards;
  std::map<ShardId, bool> busy_shards;
  bool are_deletes_futile = false;

 private:
  void post(std::move_only_function<void()> work) { boost::asio::post(*context_, std::move(work)); }

  std::shared_ptr<boost::asio::io_context> context_ = std::make_shared<boost::asio::io_context>();
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{context_->get_executor()};
  std::thread thread_{[context = context_] { context->run(); }};
};

}  // namespace tidemark::session
