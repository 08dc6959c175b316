// A ShardPool for tests: every pipeline goes to a function that answers with result sets or an error.
//
// Threads: the io_context's thread. `hold` keeps pipelines until release(), to arrange interleavings.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <deque>

#include "shardrouter/io/shard_pool.h"

namespace tidemark::testing {

class FakeShardPool final : public shardrouter::ShardPool {
 public:
  using Results = Result<std::vector<shardrouter::ResultSet>>;
  struct Run {
    Target target = Target::kPrimary;
    Lsn at_least;
    shardrouter::Pipeline pipeline;
    Duration timeout{};
    // The statement with the data, of a load or a write.
    const shardrouter::Statement& data() const {
      return pipeline.groups.back().size() > 1 ? pipeline.groups.back()[1] : pipeline.groups.front()[0];
    }
  };
  using Answer = std::function<Results(const Run&)>;

  FakeShardPool(boost::asio::io_context& context, Answer answer) : context_(context), answer_(std::move(answer)) {}

  void run(Target target, Lsn at_least, shardrouter::Pipeline pipeline, Duration timeout, Handler handler) override {
    Run run{target, at_least, std::move(pipeline), timeout};
    runs.push_back(run);
    auto complete = [this, run = std::move(run), handler = std::move(handler)]() mutable { handler(answer_(run)); };
    if (hold) {
      held_.emplace_back(std::move(complete));
    } else {
      boost::asio::post(context_, std::move(complete));
    }
  }
  void release() {
    for (auto& complete : std::exchange(held_, {})) boost::asio::post(context_, std::move(complete));
  }
  bool has_replica(Lsn) const override { return true; }
  void set_shard(Shard) override {}
  std::vector<ServerState> servers() const override { return states; }
  void close() override { held_.clear(); }

  bool hold = false;
  std::vector<Run> runs;
  std::vector<ServerState> states;

 private:
  boost::asio::io_context& context_;
  Answer answer_;
  std::deque<std::move_only_function<void()>> held_;
};

}  // namespace tidemark::testing
