// One worker's thread: its listening port, its connections, its ticks.
//
// The data connections live in a private level-triggered epoll descriptor, which itself is registered in the thread's
// io_context: a turn of the loop drains it for a few rounds with plain epoll_wait, recv and send, and Asio sees one
// readable descriptor. Everything rare (accepting, timers, posts from other threads) is Asio's.
//
// Limits: WorkerConfig::clients_max, kRoundsPerTurn, kEventsPerRound, kAcceptsPerTurn.
// Threads: open() and start() on the caller's; the rest may be called from any thread and runs on the worker's.
// I/O: sockets of this worker.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/io/log.h"
#include "base/result.h"
#include "cacheserver/io/freshness_snapshot.h"
#include "cacheserver/io/mailbox.h"
#include "cacheserver/io/sockets.h"
#include "cacheserver/serving/worker.h"

namespace tidemark::cacheserver::io {

class WorkerLoop {
 public:
  static constexpr int kRoundsPerTurn = 4;
  static constexpr int kEventsPerRound = 256;
  static constexpr size_t kEventsPerLook = 8;                            // at the clock
  static constexpr Duration kTurnTime = std::chrono::microseconds(250);  // passed, what is left waits for the next turn
  static constexpr int kTurnsBeforeDrain = 1000;
  static constexpr int kAcceptsPerTurn = 64;
  static constexpr Duration kTickEvery = std::chrono::milliseconds(100);
  static constexpr Duration kTickSoon = std::chrono::milliseconds(2);       // while upkeep is left over
  static constexpr Duration kAcceptPause = std::chrono::milliseconds(100);  // when descriptors ran out

  // Takes the listener's socket. `mailboxes`: of all workers of the node, by index; a node that does not forward needs
  // none.
  static Result<std::unique_ptr<WorkerLoop>> open(Listener listener, Worker::Options options,
                                                  std::shared_ptr<Mailboxes> mailboxes, tidemark::io::Log log);
  virtual ~WorkerLoop() = default;  // stop() first

  virtual void start() = 0;  // begins to accept
  virtual uint16_t port() const = 0;
  virtual void adopt_topology(std::shared_ptr<const Topology> topology) = 0;
  // Accepts no more, closes idle connections, lets the others take their replies for at most `bound`; then `on_done` on
  // the worker's thread.
  virtual void drain(Duration bound, std::function<void()> on_done) = 0;
  virtual void stop() = 0;  // ends and joins the thread

  // For any thread: counters are relaxed atomics; the freshness figures are copied every tick.
  virtual const WorkerView& view() const = 0;
  virtual FreshnessSnapshot freshness() const = 0;
};

}  // namespace tidemark::cacheserver::io
