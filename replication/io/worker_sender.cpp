#include "replication/io/worker_sender.h"

#include <boost/asio/io_context.hpp>

#include "base/io/system_clock.h"

namespace tidemark::replication::io {
namespace {

using tidemark::io::RespLink;
using tidemark::io::steady_now;

class Sender final : public WorkerSender, public std::enable_shared_from_this<Sender> {
 public:
  Sender(Host& host, Target target, ShardId shard, WorkerFeed::Options options, tidemark::io::Log log,
         std::shared_ptr<RespLink> link)
      : host_(&host),
        target_(std::move(target)),
        shard_(shard),
        log_(std::move(log)),
        link_(std::move(link)),
        feed_(options) {}

  const Target& target() const override { return target_; }
  WorkerFeed& feed() override { return feed_; }

  void close() override {
    host_ = nullptr;
    link_->close();
  }

  void pump() override {
    if (host_ == nullptr || feed_.is_busy()) return;
    auto shard = host_->shard_for_feed();
    if (!shard) return;
    WorkerFeed::Action action = feed_.take_action(steady_now(), *shard);
    if (auto* step = std::get_if<WorkerFeed::Step>(&action)) send(std::move(*step));
    if (auto* read = std::get_if<WorkerFeed::JournalRead>(&action)) read_journal(*read);
    log_changes(shard->position);
  }

 private:
  void send(WorkerFeed::Step step) {
    for (size_t index = 0; index < step.requests.size(); ++index) {
      auto on_reply = [self = shared_from_this(), id = step.id, index,
                       is_tide = step.is_tide](Result<RespValue> reply) {
        FeedReply read = is_tide ? read_tide_reply(reply, self->shard_) : read_feed_reply(reply);
        self->feed_.on_reply(id, index, read, steady_now());
        self->pump();
      };
      link_->send(std::move(step.requests[index]), kRequestTimeout, std::move(on_reply));
    }
  }

  void read_journal(WorkerFeed::JournalRead read) {
    host_->read_journal(read.from, [self = shared_from_this(), id = read.id](Result<JournalRecord> records) {
      self->feed_.on_journal(id, std::move(records), steady_now());
      self->pump();
    });
  }

  // Transitions only: a worker that is down is not reported at every try.
  void log_changes(Lsn position) {
    const std::string& failure = feed_.last_failure();
    if (!failure.empty() && !is_failing_) {
      log_.warn("worker does not follow", {{"shard", shard_}, {"worker", target_.label()}, {"error", failure}});
    }
    if (failure.empty() && is_failing_ && feed_.is_following()) {
      log_.info("worker follows again", {{"shard", shard_}, {"worker", target_.label()}});
    }
    is_failing_ = !failure.empty() || (is_failing_ && !feed_.is_following());
    for (const auto& [reason, count] : feed_.counters().fencealls) {
      uint64_t& logged = fencealls_logged_[reason];
      if (count == logged) continue;
      logged = count;
      log_.info("worker revalidates everything of the shard", {{"shard", shard_},
                                                               {"worker", target_.label()},
                                                               {"reason", to_string(reason)},
                                                               {"lsn", position.to_string()}});
    }
  }

  Host* host_;
  Target target_;
  ShardId shard_;
  tidemark::io::Log log_;
  std::shared_ptr<RespLink> link_;
  WorkerFeed feed_;
  bool is_failing_ = false;
  std::map<FenceAllReason, uint64_t> fencealls_logged_;
};

}  // namespace

std::shared_ptr<WorkerSender> WorkerSender::create(boost::asio::io_context& context, Host& host, Target target,
                                                   std::string password, ShardId shard, WorkerFeed::Options options,
                                                   tidemark::io::Log log) {
  RespLink::Options link;
  link.host = target.host;
  link.port = target.port;
  if (!password.empty()) link.user = "invalidator";
  link.password = std::move(password);
  link.client_name = "tidemark-invalidator";
  return std::make_shared<Sender>(host, std::move(target), shard, options, std::move(log),
                                  RespLink::create(context, std::move(link)));
}

}  // namespace tidemark::replication::io
