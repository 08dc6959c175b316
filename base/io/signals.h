// SIGTERM and SIGINT become one call on the loop; a second signal ends the process at once (exit code 128 + signal).
#pragma once

#include <functional>
#include <memory>

namespace boost::asio {
class io_context;
}

namespace tidemark::io {

class StopSignals {
 public:
  // `on_stop` runs once, on the io_context's thread. While this object lives, the io_context has work.
  static std::unique_ptr<StopSignals> watch(boost::asio::io_context& context, std::function<void(int signal)> on_stop);
  virtual ~StopSignals() = default;  // on the io_context's thread, or when it no longer runs
};

}  // namespace tidemark::io
