// The figures of one shard on /metrics.
//
// Threads: the io_context's thread.
#pragma once

#include "replication/io/journal_writer.h"
#include "replication/io/metric_list.h"
#include "replication/wal/stream_intake.h"

namespace tidemark::replication::io {

struct ShardFigures {
  bool is_streaming = false;
  bool is_standby = false;
  DbEpoch db_epoch = 0;
  Lsn insert_lsn;  // newest sample
  uint64_t attaches = 0, detaches = 0, cuts = 0, ticks = 0, journal_reads = 0, journal_failures = 0;
};

void append_shard_metrics(MetricList& list, ShardId shard, const ShardFigures& figures, const StreamIntake& intake,
                          const JournalWriter& journal);

}  // namespace tidemark::replication::io
