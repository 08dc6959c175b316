#include "replication/io/primary_sampler.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>

#include "base/io/system_clock.h"

namespace tidemark::replication::io {
namespace {

namespace asio = boost::asio;
using tidemark::io::steady_now;

class Sampler final : public PrimarySampler, public std::enable_shared_from_this<Sampler> {
 public:
  Sampler(asio::io_context& context, std::shared_ptr<PgConnection> observer, uint64_t first_sample, Events events)
      : observer_(std::move(observer)),
        events_(std::move(events)),
        next_sample_(first_sample),
        sample_timer_(context),
        tick_timer_(context) {}

  void run() {
    sample_timer_.expires_after(kSampleInterval);
    sample_timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (error || self->is_closed_) return;
      self->take_sample();
      self->run();
    });
  }

  uint64_t next_sample() const override { return next_sample_; }
  uint64_t ticks() const override { return ticks_; }

  void close() override {
    if (std::exchange(is_closed_, true)) return;
    sample_timer_.cancel();
    tick_timer_.cancel();
    if (under_way_) events_.on_lost(*under_way_);
    under_way_.reset();
  }

 private:
  void take_sample() {
    if (under_way_) return;
    under_way_ = next_sample_++;
    events_.on_started(*under_way_);
    observer_->query(sample_sql(), kSampleTimeout, [self = shared_from_this()](Result<PgRows> rows) {
      if (!self->is_closed_) self->on_rows(std::move(rows));
    });
  }

  void on_rows(Result<PgRows> rows) {
    uint64_t id = *std::exchange(under_way_, std::nullopt);
    auto sample = rows ? read_sample(*rows) : Result<Sample>(std::unexpected(rows.error()));
    if (!sample) {
      events_.on_lost(id);
      return events_.on_failure(sample.error().with_context("sample"));
    }
    events_.on_sample(id, *sample);
    if (is_closed_ || events_.position() >= sample->insert_lsn) return;
    events_.ask_position();
    schedule_tick(sample->insert_lsn);
  }

  void schedule_tick(Lsn wanted) {
    if (std::exchange(is_tick_scheduled_, true)) return;
    tick_timer_.expires_after(kTickAfter);
    tick_timer_.async_wait([self = shared_from_this(), wanted](boost::system::error_code error) {
      self->is_tick_scheduled_ = false;
      if (!error && !self->is_closed_ && self->events_.position() < wanted) self->tick();
    });
  }

  void tick() {
    if (is_tick_under_way_ || steady_now() - last_tick_ < kTickInterval) return;
    is_tick_under_way_ = true;
    last_tick_ = steady_now();
    ++ticks_;
    observer_->query(tick_sql(), kSampleTimeout, [self = shared_from_this()](Result<PgRows> rows) {
      self->is_tick_under_way_ = false;
      if (!self->is_closed_ && !rows) self->events_.on_failure(rows.error().with_context("tick"));
    });
  }

  std::shared_ptr<PgConnection> observer_;
  Events events_;
  uint64_t next_sample_;
  asio::steady_timer sample_timer_, tick_timer_;
  std::optional<uint64_t> under_way_;
  Instant last_tick_;
  uint64_t ticks_ = 0;
  bool is_tick_scheduled_ = false;
  bool is_tick_under_way_ = false;
  bool is_closed_ = false;
};

}  // namespace

std::shared_ptr<PrimarySampler> PrimarySampler::start(asio::io_context& context, std::shared_ptr<PgConnection> observer,
                                                      uint64_t first_sample, Events events) {
  auto sampler = std::make_shared<Sampler>(context, std::move(observer), first_sample, std::move(events));
  sampler->run();
  return sampler;
}

}  // namespace tidemark::replication::io
