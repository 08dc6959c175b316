// One shard's side of the journal: collects records, writes them on the journal's own thread in one fsync after the
// other, and says when they are durable.
//
//   queue: [r7 r8 r9]   under way: [r5 r6]   durable: r4      queued_tail() = r9, durable() = r4
//
// A failed write is tried again after kRetryDelay, with everything that came meanwhile: nothing is skipped, and the
// slot is not confirmed. Threads: the io_context's thread; only the journal's calls run on the pool of one thread.
// Limits: the owner stops reading its stream while pending_bytes() > kPendingBytesMax.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "replication/io/journal.h"

namespace boost::asio {
class io_context;
class thread_pool;
}  // namespace boost::asio

namespace tidemark::replication::io {

class JournalWriter {
 public:
  static constexpr size_t kPendingBytesMax = 64u << 20;
  static constexpr Duration kRetryDelay = std::chrono::seconds(1);

  struct Events {
    std::function<void(Lsn durable)> on_durable;
    std::function<void(const Error&)> on_failure;
  };

  static std::shared_ptr<JournalWriter> create(boost::asio::io_context& context, boost::asio::thread_pool& pool,
                                               Journal& journal, ShardId shard, JournalRetention::Limits limits,
                                               Events events);
  virtual ~JournalWriter() = default;

  // Reads what an earlier process left. Blocks; once, before anything else. kNotFound: nothing (not an error for most).
  virtual Status load() = 0;
  virtual bool has_meta() const = 0;
  virtual JournalMeta& meta() = 0;  // circumstances may be changed; they go out with the next write

  // Forgets everything and begins anew at `position`.
  virtual void cut(Lsn position) = 0;
  // Commits that follow queued_tail(), ascending; then everything up to `tail` is covered.
  virtual void append(std::vector<Commit> commits, Lsn tail) = 0;
  // Writes what is queued, or just the meta, now or as soon as the write under way is done.
  virtual void flush() = 0;
  virtual void trim(std::optional<Lsn> first_unsettled) = 0;

  virtual void read_after(Lsn position, std::move_only_function<void(Result<JournalRecord>)> handler) = 0;
  virtual Result<JournalRecord> read_after_blocking(Lsn position) = 0;  // at the start only

  virtual Lsn queued_tail() const = 0;
  virtual Lsn durable() const = 0;
  virtual size_t pending_bytes() const = 0;
  virtual uint64_t journal_bytes() const = 0;
  virtual bool is_idle() const = 0;
};

}  // namespace tidemark::replication::io
