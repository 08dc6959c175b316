#include "services/session/sweep_timer.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "base/io/random_source.h"

namespace tidemark::session {

struct SweepTimer::State : std::enable_shared_from_this<State> {
  State(boost::asio::io_context& context, std::shared_ptr<Sweeper> its_sweeper, std::function<UnixMillis()> its_now,
        Duration its_interval, io::Log its_log)
      : sweeper(std::move(its_sweeper)),
        now(std::move(its_now)),
        interval(its_interval),
        log(std::move(its_log)),
        timer(context) {}

  // From 3/4 to 5/4 of the interval.
  void wait() {
    const auto quarter = interval.count() / 4;
    const Duration jitter(static_cast<int64_t>(io::random_u64() % static_cast<uint64_t>(2 * quarter + 1)) - quarter);
    timer.expires_after(interval + jitter);
    timer.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error && !self->is_stopped) self->sweep();
    });
  }

  void sweep() {
    sweeper->sweep(now(), [self = shared_from_this()](SweepSummary summary) {
      if (summary.shards_failed > 0) {
        self->log.warn("sweep failed", {{"shards", summary.shards_failed}, {"error", summary.error.to_string()}});
      }
      if (summary.deleted > 0) {
        self->log.info("swept", {{"sessions", summary.deleted}, {"is_behind", summary.is_behind}});
      }
      if (!self->is_stopped) self->wait();
    });
  }

  std::shared_ptr<Sweeper> sweeper;
  std::function<UnixMillis()> now;
  Duration interval;
  io::Log log;
  boost::asio::steady_timer timer;
  bool is_stopped = false;
};

SweepTimer::SweepTimer(boost::asio::io_context& context, std::shared_ptr<Sweeper> sweeper,
                       std::function<UnixMillis()> now, Duration interval, io::Log log)
    : state_(std::make_shared<State>(context, std::move(sweeper), std::move(now), interval, std::move(log))) {
  state_->wait();
}

SweepTimer::~SweepTimer() {
  state_->is_stopped = true;
  state_->timer.cancel();
  state_->sweeper.reset();
}

}  // namespace tidemark::session
