#include "cacheserver/io/worker_loop.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <span>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/io/system_clock.h"
#include "cacheserver/io/connection.h"
#include "cacheserver/io/post.h"
#include "cacheserver/io/sockets.h"

namespace tidemark::cacheserver::io {
namespace {

namespace asio = boost::asio;
using tidemark::io::Log;
using tidemark::io::steady_now;
using tidemark::io::unix_now;

uint64_t micros_of(const timeval& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000 + static_cast<uint64_t>(time.tv_usec);
}

uint64_t thread_cpu_micros() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000 + static_cast<uint64_t>(time.tv_nsec) / 1000;
}

uint64_t process_rss_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long total = 0, resident = 0;
  int fields = std::fscanf(file, "%lu %lu", &total, &resident);
  std::fclose(file);
  return fields == 2 ? resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

class WorkerLoopOnAsio final : public WorkerLoop {
 public:
  WorkerLoopOnAsio(Listener listener, int epoll, std::unique_ptr<Worker> worker, std::shared_ptr<Mailboxes> mailboxes,
                   Log log)
      : context_(1),
        epoll_(context_, epoll),
        listener_(context_, listener.socket),
        tick_timer_(context_),
        accept_timer_(context_),
        drain_timer_(context_),
        port_(listener.port),
        worker_(std::move(worker)),
        log_(std::move(log)) {
    if (worker_->forwarding() != nullptr) post_ = std::make_unique<Post>(*worker_, std::move(mailboxes));
  }

  ~WorkerLoopOnAsio() override { stop(); }

  void start() override {
    if (post_) watch_mailbox();
    wait_for_clients();
    wait_for_data();
    tick();
    thread_ = std::thread([this] { context_.run(); });
  }

  uint16_t port() const override { return port_; }
  const WorkerView& view() const override { return worker_->view(); }

  FreshnessSnapshot freshness() const override {
    const std::lock_guard lock(snapshot_mutex_);
    return snapshot_;
  }

  void adopt_topology(std::shared_ptr<const Topology> topology) override {
    asio::post(context_,
               [this, topology = std::move(topology)]() mutable { worker_->adopt_topology(std::move(topology)); });
  }

  void drain(Duration bound, std::function<void()> on_done) override {
    asio::post(context_,
               [this, bound, on_done = std::move(on_done)]() mutable { begin_drain(bound, std::move(on_done)); });
  }

  void stop() override {
    context_.stop();
    if (thread_.joinable()) thread_.join();
    connections_.clear();
    finished_.clear();
  }

 private:
  // --- accepting -----------------------------------------------------------------------------------------------------
  void wait_for_clients() {
    listener_.async_wait(asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code error) {
      if (!error && !is_draining_) accept_clients();
    });
  }

  void accept_clients() {
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
      sockaddr_storage peer{};
      socklen_t size = sizeof peer;
      int socket =
          ::accept4(listener_.native_handle(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (socket >= 0) {
        add_client(socket, peer);
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        return pause_accepting();
      } else if (errno != EINTR && errno != ECONNABORTED) {
        break;
      }
    }
    wait_for_clients();
  }

  // The client stays in the backlog; accepting again at once would only spin.
  void pause_accepting() {
    log_.warn("cannot accept a client; trying again soon", {{"error", std::strerror(errno)}});
    accept_timer_.expires_after(kAcceptPause);
    accept_timer_.async_wait([this](boost::system::error_code error) {
      if (!error && !is_draining_) accept_clients();
    });
  }

  void add_client(int socket, const sockaddr_storage& peer) {
    WorkerStats& stats = worker_->view().stats();
    if (connections_.size() >= worker_->view().config().clients_max) {
      constexpr std::string_view kRefusal = "-ERR max number of clients reached\r\n";
      [[maybe_unused]] ssize_t sent = ::send(socket, kRefusal.data(), kRefusal.size(), MSG_NOSIGNAL);
      ::close(socket);
      stats.connections_refused.add();
      return;
    }
    set_client_options(socket);
    auto connection = std::make_unique<Connection>(socket, epoll_.native_handle(), *worker_, buffers_, to_text(peer),
                                                   local_address_of(socket), steady_now());
    if (!connection->register_events()) {
      log_.warn("cannot watch a client's socket", {{"error", std::strerror(errno)}});
      return;
    }
    stats.connections_total.add();
    uint64_t id = connection->id();
    connections_.emplace(id, std::move(connection));
    stats.connections_now.set(connections_.size());
  }

  void watch_mailbox() {
    epoll_event event{.events = EPOLLIN, .data = {.ptr = post_.get()}};
    if (::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_ADD, post_->wake_descriptor(), &event) != 0) {
      log_.error("cannot watch the mailbox", {{"error", std::strerror(errno)}});
    }
  }

  // --- data ----------------------------------------------------------------------------------------------------------
  void wait_for_data() {
    epoll_.async_wait(asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code error) {
      if (error) return;
      turn();
      wait_for_data();
    });
  }

  // False: nothing is left that was ready.
  bool turn() {
    const uint64_t cpu_before = thread_cpu_micros();
    is_turn_over_ = false;
    std::array<epoll_event, kEventsPerRound> events;
    int ready = 0;
    for (int round = 0; round < kRoundsPerTurn; ++round) {
      ready = ::epoll_wait(epoll_.native_handle(), events.data(), kEventsPerRound, 0);
      if (ready <= 0) break;
      const Instant now = steady_now();
      if (round == 0) turn_began_at_ = now;
      const UnixMillis wall = unix_now();
      take_all({events.data(), static_cast<size_t>(ready)}, now, wall);
      serve_ready(now, wall);
      if (post_) post_->send();
      finish_killed();
      finished_.clear();
      if (is_turn_over_) break;
    }
    worker_->view().stats().loop_turn.observe(thread_cpu_micros() - cpu_before);
    if (is_draining_) check_drained();
    return ready > 0;
  }

  // The kernel names what is ready in the same order again, so a turn that ends early goes on next time where it
  // stopped: everybody has a turn. When more is ready than it names at once, the order changes, and any place will do.
  void take_all(std::span<const epoll_event> events, Instant now, UnixMillis wall) {
    const size_t first = std::exchange(next_event_, 0);
    for (size_t i = 0; i < events.size(); ++i) {
      if (is_turn_over_) {
        const size_t anywhere = (++turns_cut_ * 0x9e3779b97f4a7c15) >> 32;
        next_event_ = events.size() < kEventsPerRound ? (first + i) % events.size() : anywhere;
        return;
      }
      take(events[(first + i) % events.size()], now, wall);
      if (i % kEventsPerLook == kEventsPerLook - 1) look_at_clock();
    }
  }

  void look_at_clock() { is_turn_over_ = is_turn_over_ || steady_now() - turn_began_at_ >= kTurnTime; }

  void take(const epoll_event& event, Instant now, UnixMillis wall) {
    if (event.data.ptr == post_.get() && post_) return take_mail(now, wall);
    auto* connection = static_cast<Connection*>(event.data.ptr);
    bool is_alive = true;
    if (event.events & EPOLLOUT) is_alive = connection->on_writable(now, wall);
    if (is_alive && (event.events & EPOLLIN)) {
      is_alive = receive(*connection, now, wall);
    } else if (is_alive && (event.events & (EPOLLERR | EPOLLHUP))) {
      is_alive = false;
    }
    if (!is_alive) finish(connection->id());
  }

  void take_mail(Instant now, UnixMillis wall) {
    post_->receive(now, wall, [this](uint64_t session, uint32_t index, std::string_view reply) {
      auto at = connections_.find(session);  // it may have left meanwhile
      if (at != connections_.end() && at->second->take_answer(index, reply)) answered_.push_back(at->second.get());
    });
    for (Connection* connection : answered_) {
      if (!connection->on_answered(now, wall)) finish(connection->id());
    }
    answered_.clear();
  }

  bool receive(Connection& connection, Instant now, UnixMillis wall) {
    const Connection::Receipt receipt = connection.receive(now, wall);
    if (receipt != Connection::Receipt::kReady) {
      look_at_clock();  // it was served alone, and may have been large
      return receipt != Connection::Receipt::kOver;
    }
    ready_.push_back(&connection);
    const bool has_room = buffers_.input_used + SharedBuffers::kReadBytes <= buffers_.input.size();
    if (!has_room || worker_->shared_round().is_full()) serve_ready(now, wall);
    return true;
  }

  // Runs and answers what the connections of the round have sent.
  void serve_ready(Instant now, UnixMillis wall) {
    if (ready_.empty()) return;
    worker_->begin_turn();
    worker_->load_round();
    size_t answered = 0;
    for (size_t i = 0; i < ready_.size(); ++i) {
      ready_[i]->run(now, wall);
      if (buffers_.replies.size() >= SharedBuffers::kRoundReplyBytes) answer(answered, i + 1, now, wall);
    }
    answer(answered, ready_.size(), now, wall);
    worker_->end_round();
    ready_.clear();
    buffers_.input_used = 0;
    look_at_clock();
  }

  void answer(size_t& answered, size_t end, Instant now, UnixMillis wall) {
    worker_->timer().stop();
    for (; answered < end; ++answered) {
      if (!ready_[answered]->reply(now, wall)) finish(ready_[answered]->id());
    }
    SharedBuffers::clear(buffers_.replies);
  }

  // The object lives until the events of this round are done, for another of them may name it.
  void finish(uint64_t id) {
    auto at = connections_.find(id);
    if (at == connections_.end()) return;
    finished_.push_back(std::move(at->second));
    connections_.erase(at);
    worker_->view().stats().connections_now.set(connections_.size());
  }

  void finish_killed() {
    std::vector<uint64_t>& killed = worker_->view().killed_sessions();
    for (uint64_t id : killed) finish(id);
    killed.clear();
  }

  // --- upkeep --------------------------------------------------------------------------------------------------------
  void tick() {
    const uint64_t cpu_before = thread_cpu_micros();
    const Instant now = steady_now();
    bool has_more = worker_->tick(now);
    if (now - last_slow_tick_ >= std::chrono::seconds(1)) slow_tick(now);
    FreshnessSnapshot snapshot = take_freshness_snapshot(worker_->freshness(), now);
    {
      const std::lock_guard lock(snapshot_mutex_);
      std::swap(snapshot_, snapshot);
    }
    worker_->view().stats().loop_turn.observe(thread_cpu_micros() - cpu_before);
    tick_timer_.expires_after(has_more ? kTickSoon : kTickEvery);
    tick_timer_.async_wait([this](boost::system::error_code error) {
      if (!error) tick();
    });
  }

  void slow_tick(Instant now) {
    WorkerStats& stats = worker_->view().stats();
    rusage usage{};
    ::getrusage(RUSAGE_THREAD, &usage);
    stats.cpu_user_micros.set(micros_of(usage.ru_utime));
    stats.cpu_system_micros.set(micros_of(usage.ru_stime));
    stats.process_rss_bytes.set(process_rss_bytes());
    const uint64_t commands = stats.commands_total.get();
    const auto elapsed = static_cast<uint64_t>((now - last_slow_tick_).count());
    const uint64_t ran = commands >= commands_before_ ? commands - commands_before_ : 0;
    stats.commands_per_second.set(ran * 1'000'000 / std::max<uint64_t>(elapsed, 1));
    commands_before_ = commands;
    last_slow_tick_ = now;
    close_idle_clients(now);
  }

  void close_idle_clients(Instant now) {
    const auto limit = std::chrono::seconds(worker_->view().config().idle_timeout_s);
    if (limit.count() == 0) return;
    std::vector<uint64_t> idle;
    for (const auto& [id, connection] : connections_) {
      if (now - connection->session().last_active_at > limit) idle.push_back(id);
    }
    for (uint64_t id : idle) finish(id);
    finished_.clear();
  }

  // --- the end -------------------------------------------------------------------------------------------------------
  void begin_drain(Duration bound, std::function<void()> on_done) {
    for (int i = 0; i < kTurnsBeforeDrain; ++i) {  // what has arrived is still answered
      if (!turn()) break;
    }
    is_draining_ = true;
    on_drained_ = std::move(on_done);
    listener_.close();
    accept_timer_.cancel();
    for (auto& [id, connection] : connections_) connection->stop_reading();
    drain_timer_.expires_after(bound);
    drain_timer_.async_wait([this](boost::system::error_code error) {
      if (error) return;
      log_.warn("clients did not take their replies in time", {{"clients", connections_.size()}});
      connections_.clear();
      check_drained();
    });
    check_drained();
  }

  void check_drained() {
    std::vector<uint64_t> done;
    for (const auto& [id, connection] : connections_) {
      if (!connection->has_output() && !connection->is_waiting()) done.push_back(id);
    }
    for (uint64_t id : done) finish(id);
    finished_.clear();
    if (!connections_.empty() || !on_drained_) return;
    drain_timer_.cancel();
    std::exchange(on_drained_, nullptr)();
  }

  asio::io_context context_;
  asio::posix::stream_descriptor epoll_;
  asio::posix::stream_descriptor listener_;
  asio::steady_timer tick_timer_, accept_timer_, drain_timer_;
  uint16_t port_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<Post> post_;  // nullptr: this node does not forward
  Log log_;
  SharedBuffers buffers_;
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> finished_;
  Instant turn_began_at_{};
  bool is_turn_over_ = false;
  uint64_t turns_cut_ = 0;
  size_t next_event_ = 0;              // of those that are ready, after a turn that ended early
  std::vector<Connection*> ready_;     // whose requests are in the shared round
  std::vector<Connection*> answered_;  // whose siblings have answered
  bool is_draining_ = false;
  std::function<void()> on_drained_;
  Instant last_slow_tick_{};
  uint64_t commands_before_ = 0;
  mutable std::mutex snapshot_mutex_;
  FreshnessSnapshot snapshot_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<WorkerLoop>> WorkerLoop::open(Listener listener, Worker::Options options,
                                                     std::shared_ptr<Mailboxes> mailboxes, Log log) {
  auto worker = Worker::open(std::move(options), CommandTable::standard());
  if (!worker) {
    ::close(listener.socket);
    return std::unexpected(worker.error());
  }
  int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) {
    ::close(listener.socket);
    return fail(ErrorCode::kUnavailable, system_error("epoll_create1"));
  }
  return std::make_unique<WorkerLoopOnAsio>(listener, epoll, *std::move(worker), std::move(mailboxes), std::move(log));
}

}  // namespace tidemark::cacheserver::io
