#include "replication/io/shard_metrics.h"

namespace tidemark::replication::io {

void append_shard_metrics(MetricList& list, ShardId shard, const ShardFigures& figures, const StreamIntake& intake,
                          const JournalWriter& journal) {
  MetricList::Labels labels{{"shard", std::to_string(shard)}};
  auto gauge = [&](const char* name, const char* help, double value) {
    list.gauge(std::string("tidemark_invalidator_") + name, help, labels, value);
  };
  auto counter = [&](const char* name, const char* help, uint64_t value) {
    list.counter(std::string("tidemark_invalidator_") + name + "_total", help, labels, double(value));
  };
  double lag = figures.insert_lsn > intake.position() ? double(figures.insert_lsn.value - intake.position().value) : 0;
  gauge("active", "1 while this process streams the shard", figures.is_streaming);
  gauge("standby", "1 while another invalidator is active", figures.is_standby);
  gauge("db_epoch", "incarnation of the shard's database", figures.db_epoch);
  gauge("stream_position", "LSN up to which the stream is decoded", double(intake.position().value));
  gauge("confirmed_position", "LSN that is durable in the journal", double(journal.durable().value));
  gauge("insert_position", "newest sampled insert LSN of the primary", double(figures.insert_lsn.value));
  gauge("stream_lag_bytes", "insert LSN minus stream position", lag);
  gauge("settled_position", "LSN up to which commits are visible", double(intake.tracker().settled().value));
  gauge("unsettled_commits", "commits not yet visible on the primary", double(intake.tracker().unsettled_count()));
  gauge("journal_bytes", "bytes of the journal", double(journal.journal_bytes()));
  gauge("journal_pending_bytes", "bytes that wait for an fsync", double(journal.pending_bytes()));
  gauge("window_bytes", "recent commits in memory", double(intake.window().bytes()));
  counter("commits", "commits decoded", intake.counters().commits);
  counter("keys", "keys invalidated", intake.counters().keys);
  counter("unknown_keys", "commits that invalidated the whole shard", intake.counters().unknown_keys);
  counter("attaches", "connections to the slot", figures.attaches);
  counter("detaches", "connections lost or given up", figures.detaches);
  counter("journal_cuts", "times the stream did not follow the journal", figures.cuts);
  counter("journal_failures", "failed writes of the journal", figures.journal_failures);
  counter("journal_reads", "replays read from the journal", figures.journal_reads);
  counter("ticks", "transactions made to move the stream", figures.ticks);
}

}  // namespace tidemark::replication::io
