// Writers and readers of a sharded table while buckets move below them, and the books about it.
//
// Every row belongs to one writer thread, which knows what it was last told: the value of its last acknowledged commit,
// and the one whose outcome it never heard. So after the run each row must have exactly one of two values, on exactly
// one shard. Readers compare what they see with what was acknowledged before they asked. A third thread looks for two
// owners: the source's state, the target's, the source's again; states never repeat an epoch, so equal looks mean that
// nothing changed between them.
// Threads: start() makes them, stop() ends them; the rest is called by one.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::trials {

// Three tables with foreign keys: account <- entry, account <- label.
extern const char* const kSchemaSql;
std::vector<std::string> schema_tables();

struct WorkloadOptions {
  std::vector<std::string> conninfos;  // of the primaries, by shard id, without user
  std::string passfile;                // of tidemark_app
  std::vector<std::string> admins;     // for looking at states and for the final count
  std::string topology;
  int bucket_lo = 0, bucket_hi = 3;      // half of the writes go here
  int other_lo = 1000, other_hi = 1003;  // the other half
  int writers = 4;
  int readers = 2;
  double writes_per_second = 400;  // of all writers
  double reads_per_second = 400;
  uint64_t seed = 1;
};

struct WorkloadResult {
  int64_t writes = 0, reads = 0, refusals = 0, unknown = 0;
  int64_t lost = 0;        // acknowledged, and not there
  int64_t duplicated = 0;  // on two shards
  int64_t stale_reads = 0;
  int64_t both_own = 0;  // looks that saw two owners of a bucket
  int64_t looks = 0;
  double stall_ms_max = 0;            // of one write of the moving range, retries included
  double other_ms_p99 = 0;            // of writes to the other range, since moves_begin()
  double other_ms_p99_before = 0;     // until then
  std::vector<std::string> findings;  // the first few, in words
  bool is_clean() const { return lost == 0 && duplicated == 0 && stale_reads == 0 && both_own == 0; }
};

class LedgerWorkload {
 public:
  explicit LedgerWorkload(WorkloadOptions options);
  ~LedgerWorkload();

  // Rows that no writer touches, for something to copy: `count` accounts per bucket of the moving range, each with an
  // entry and a label.
  Status fill(int64_t rows_per_bucket);
  Status start();
  void moves_begin();  // until now nothing was moved
  void stop();
  int64_t writes_so_far() const;
  double stall_ms_since_last_asked();  // the longest since then
  // After stop(): counts every row on every shard.
  Result<WorkloadResult> verify();

  static WorkloadOptions options_for(const localcluster::LocalCluster& cluster);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidemark::trials
