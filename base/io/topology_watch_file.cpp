// TopologyStoreFile::watch: inotify tells at once, a poll each second catches what inotify cannot (network file
// systems, a queue that overflowed).
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/io/topology_store_file.h"

namespace tidemark::io {
namespace {

namespace asio = boost::asio;

constexpr auto kPollInterval = std::chrono::seconds(1);
constexpr size_t kEventBytesMax = 4096;

class Watcher : public std::enable_shared_from_this<Watcher> {
 public:
  using OnChange = std::function<void(std::shared_ptr<const Topology>)>;

  Watcher(asio::io_context& context, TopologyStoreFile store, OnChange on_change)
      : context_(context),
        store_(std::move(store)),
        on_change_(std::move(on_change)),
        events_(context),
        timer_(context) {}

  void start() {
    int file = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (file >= 0 && ::inotify_add_watch(file, store_.directory().c_str(), IN_CREATE | IN_MOVED_TO) >= 0) {
      events_.assign(file);
      wait_for_event();
    } else if (file >= 0) {
      ::close(file);
    }
    asio::post(context_, [self = shared_from_this()] { self->check(); });
    wait_for_poll();
  }

  void stop() {
    is_stopped_ = true;
    boost::system::error_code ignored;
    events_.close(ignored);
    timer_.cancel();
  }

 private:
  void wait_for_event() {
    events_.async_read_some(asio::buffer(buffer_),
                            [self = shared_from_this()](boost::system::error_code error, size_t) {
                              if (error || self->is_stopped_) return;
                              self->check();
                              if (!self->is_stopped_) self->wait_for_event();
                            });
  }

  void wait_for_poll() {
    timer_.expires_after(kPollInterval);
    timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (error || self->is_stopped_) return;
      self->check();
      if (!self->is_stopped_) self->wait_for_poll();
    });
  }

  // A store that cannot be read now is read again at the next event; the last good topology stays in force.
  void check() {
    if (is_stopped_) return;
    Result<Topology> topology = store_.load();
    if (!topology || topology->version <= seen_) return;
    seen_ = topology->version;
    on_change_(std::make_shared<const Topology>(std::move(*topology)));
  }

  asio::io_context& context_;
  TopologyStoreFile store_;
  OnChange on_change_;
  asio::posix::stream_descriptor events_;
  asio::steady_timer timer_;
  std::array<char, kEventBytesMax> buffer_{};
  uint64_t seen_ = 0;
  bool is_stopped_ = false;
};

class WatchHandle : public TopologyStoreFile::Watch {
 public:
  explicit WatchHandle(std::shared_ptr<Watcher> watcher) : watcher_(std::move(watcher)) {}
  ~WatchHandle() override { watcher_->stop(); }

 private:
  std::shared_ptr<Watcher> watcher_;
};

}  // namespace

std::unique_ptr<TopologyStoreFile::Watch> TopologyStoreFile::watch(
    boost::asio::io_context& context, std::function<void(std::shared_ptr<const Topology>)> on_change) const {
  auto watcher = std::make_shared<Watcher>(context, *this, std::move(on_change));
  watcher->start();
  return std::make_unique<WatchHandle>(std::move(watcher));
}

}  // namespace tidemark::io
