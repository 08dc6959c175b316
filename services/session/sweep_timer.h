// Sweeps again and again, each time some random part of the interval later, so that services do not sweep in step.
// Threads: made and destroyed while the loop does not run, or on its thread. I/O: a timer, the log.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/io/log.h"
#include "services/session/sweeper.h"

namespace boost::asio {
class io_context;
}

namespace tidemark::session {

class SweepTimer {
 public:
  SweepTimer(boost::asio::io_context& context, std::shared_ptr<Sweeper> sweeper, std::function<UnixMillis()> now,
             Duration interval, io::Log log);
  ~SweepTimer();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tidemark::session
