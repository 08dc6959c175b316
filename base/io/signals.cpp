#include "base/io/signals.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>

namespace tidemark::io {
namespace {

class Watcher : public StopSignals {
 public:
  Watcher(boost::asio::io_context& context, std::function<void(int)> on_stop)
      : signals_(context, SIGINT, SIGTERM), on_stop_(std::move(on_stop)) {
    wait();
  }

 private:
  void wait() {
    signals_.async_wait([this](boost::system::error_code error, int signal) {
      if (error) return;
      if (!on_stop_) ::_exit(128 + signal);  // the second one: whoever sent it is done with waiting
      wait();
      std::exchange(on_stop_, nullptr)(signal);
    });
  }

  boost::asio::signal_set signals_;
  std::function<void(int)> on_stop_;
};

}  // namespace

std::unique_ptr<StopSignals> StopSignals::watch(boost::asio::io_context& context, std::function<void(int)> on_stop) {
  return std::make_unique<Watcher>(context, std::move(on_stop));
}

}  // namespace tidemark::io
