// Samples the primary again and again: a snapshot and an insert LSN each kSampleInterval; and sees to it that the
// stream gets there.
//
// WAL that nobody flushes (asynchronous commits, page headers) would not reach the stream for seconds. When the stream
// has not reached a sample at once, the walsender is asked how far it is; when it is not there after kTickAfter, a tick
// (a tiny transaction, whose commit flushes the WAL) follows, at most every kTickInterval.
// Threads: the io_context's thread. Limits: one sample and one tick under way, kSampleTimeout for each.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"
#include "replication/io/pg_connection.h"
#include "replication/io/pg_observer.h"

namespace boost::asio {
class io_context;
}

namespace tidemark::replication::io {

class PrimarySampler {
 public:
  static constexpr Duration kSampleInterval = std::chrono::milliseconds(40);
  static constexpr Duration kSampleTimeout = std::chrono::seconds(5);
  static constexpr Duration kTickAfter = std::chrono::milliseconds(25);
  static constexpr Duration kTickInterval = std::chrono::milliseconds(100);

  struct Events {
    std::function<void(uint64_t sample)> on_started;  // about to ask
    std::function<void(uint64_t sample, const Sample&)> on_sample;
    std::function<void(uint64_t sample)> on_lost;
    std::function<void(const Error&)> on_failure;  // the observer answered nonsense or an error
    std::function<Lsn()> position;                 // of the stream
    std::function<void()> ask_position;            // wants a keepalive soon
  };

  // Runs until close(); ids of samples go on from `first_sample`.
  static std::shared_ptr<PrimarySampler> start(boost::asio::io_context& context, std::shared_ptr<PgConnection> observer,
                                               uint64_t first_sample, Events events);
  virtual ~PrimarySampler() = default;

  virtual uint64_t next_sample() const = 0;
  virtual uint64_t ticks() const = 0;
  virtual void close() = 0;  // a sample under way counts as lost; nothing is called afterwards
};

}  // namespace tidemark::replication::io
