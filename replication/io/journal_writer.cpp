#include "replication/io/journal_writer.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include "base/io/system_clock.h"

namespace tidemark::replication::io {
namespace {

namespace asio = boost::asio;

class Writer final : public JournalWriter, public std::enable_shared_from_this<Writer> {
 public:
  Writer(asio::io_context& context, asio::thread_pool& pool, Journal& journal, ShardId shard,
         JournalRetention::Limits limits, Events events)
      : context_(context),
        pool_(pool),
        journal_(journal),
        shard_(shard),
        retention_(limits),
        events_(std::move(events)),
        retry_timer_(context) {}

  Status load() override {
    auto meta = journal_.load_meta(shard_);
    if (!meta) return std::unexpected(meta.error());
    meta_ = *meta;
    has_meta_ = true;
    queued_tail_ = durable_ = meta_.tail;
    return journal_.load_retention(shard_, retention_);
  }

  bool has_meta() const override { return has_meta_; }
  JournalMeta& meta() override { return meta_; }

  void cut(Lsn position) override {
    queue_.clear();
    pending_bytes_ = 0;
    retention_.clear();
    has_meta_ = true;
    meta_.begin = meta_.tail = queued_tail_ = position;
    meta_.settled = {};
    is_cut_pending_ = true;
    ++generation_;
    flush();
  }

  void append(std::vector<Commit> commits, Lsn tail) override {
    std::vector<Commit> part;
    size_t bytes = 0;
    for (Commit& commit : commits) {
      bytes += commit.bytes();
      part.push_back(std::move(commit));
      if (part.size() == kBatchTransactionsMax || bytes >= kBatchBytesMax) add_record(std::exchange(part, {}), bytes);
    }
    if (!part.empty()) add_record(std::move(part), bytes);
    queued_tail_ = std::max(queued_tail_, tail);
  }

  void flush() override {
    if (is_writing_) {
      is_flush_wanted_ = true;
      return;
    }
    is_flush_wanted_ = false;
    is_writing_ = true;
    auto job = std::make_shared<Job>();
    job->records = std::exchange(queue_, {});
    job->is_cut = is_cut_pending_;
    job->generation = generation_;
    job->bytes = writing_bytes_ = std::exchange(pending_bytes_, 0);
    meta_.tail = queued_tail_;
    job->meta = meta_;
    asio::post(pool_, [self = shared_from_this(), job] {
      Status status;
      if (job->is_cut) status = self->journal_.cut(self->shard_, job->meta);
      if (status && !(job->is_cut && job->records.empty())) {
        status = self->journal_.append(self->shard_, job->records, job->meta);
      }
      asio::post(self->context_, [self, job, status] { self->on_written(*job, status); });
    });
  }

  void trim(std::optional<Lsn> first_unsettled) override {
    if (is_cut_pending_) return;
    auto through = retention_.trim(tidemark::io::unix_now_us(), first_unsettled);
    if (!through) return;
    meta_.begin = std::max(meta_.begin, *through);
    // Only meta.begin changes: queued records are not part of it, so the tail stays the durable one.
    JournalMeta meta = meta_;
    meta.tail = durable_;
    if (is_writing_) return;  // the next trim() finds the rest; meta_.begin goes out with the next write
    asio::post(pool_, [self = shared_from_this(), through = *through, meta] {
      (void)self->journal_.trim(self->shard_, through, meta);
    });
  }

  void read_after(Lsn position, std::move_only_function<void(Result<JournalRecord>)> handler) override {
    asio::post(pool_, [self = shared_from_this(), position, handler = std::move(handler)]() mutable {
      auto result = std::make_shared<Result<JournalRecord>>(self->journal_.read_after(self->shard_, position));
      asio::post(self->context_, [handler = std::move(handler), result]() mutable { handler(std::move(*result)); });
    });
  }

  Result<JournalRecord> read_after_blocking(Lsn position) override { return journal_.read_after(shard_, position); }

  Lsn queued_tail() const override { return queued_tail_; }
  Lsn durable() const override { return durable_; }
  size_t pending_bytes() const override { return pending_bytes_ + writing_bytes_; }
  uint64_t journal_bytes() const override { return retention_.bytes(); }
  bool is_idle() const override { return !is_writing_ && queue_.empty(); }

 private:
  struct Job {
    std::vector<JournalRecord> records;
    JournalMeta meta;
    bool is_cut = false;
    uint64_t generation = 0;
    size_t bytes = 0;
  };

  void add_record(std::vector<Commit> commits, size_t& bytes) {
    Lsn lsn = commits.back().end_lsn;
    queue_.push_back({.prev_lsn = queued_tail_, .lsn = lsn, .commits = std::move(commits)});
    queued_tail_ = lsn;
    pending_bytes_ += std::exchange(bytes, 0);
  }

  void on_written(Job& job, const Status& status) {
    is_writing_ = false;
    writing_bytes_ = 0;
    if (!status) {
      events_.on_failure(status.error());
      if (job.generation == generation_) {  // put back in front of what came meanwhile
        pending_bytes_ += job.bytes;
        job.records.insert(job.records.end(), std::make_move_iterator(queue_.begin()),
                           std::make_move_iterator(queue_.end()));
        queue_ = std::move(job.records);
      }
      retry_timer_.expires_after(kRetryDelay);
      retry_timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
        if (!error) self->flush();
      });
      return;
    }
    if (job.generation == generation_) {
      is_cut_pending_ = false;
      durable_ = job.meta.tail;
      int64_t now_us = tidemark::io::unix_now_us();
      for (const JournalRecord& record : job.records) {
        size_t bytes = 0;
        for (const Commit& commit : record.commits) bytes += commit.bytes();
        retention_.on_record(record.lsn, bytes, now_us);
      }
      events_.on_durable(durable_);
    }
    if (is_flush_wanted_ || !queue_.empty()) flush();
  }

  asio::io_context& context_;
  asio::thread_pool& pool_;
  Journal& journal_;
  ShardId shard_;
  JournalRetention retention_;
  Events events_;
  asio::steady_timer retry_timer_;
  JournalMeta meta_;
  bool has_meta_ = false;
  std::vector<JournalRecord> queue_;
  size_t pending_bytes_ = 0;
  size_t writing_bytes_ = 0;
  Lsn queued_tail_;
  Lsn durable_;
  bool is_writing_ = false;
  bool is_flush_wanted_ = false;
  bool is_cut_pending_ = false;
  uint64_t generation_ = 0;
};

}  // namespace

std::shared_ptr<JournalWriter> JournalWriter::create(asio::io_context& context, asio::thread_pool& pool,
                                                     Journal& journal, ShardId shard, JournalRetention::Limits limits,
                                                     Events events) {
  return std::make_shared<Writer>(context, pool, journal, shard, limits, std::move(events));
}

}  // namespace tidemark::replication::io
