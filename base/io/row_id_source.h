// Row ids for a service: a lane leased in the topology store, kept for as long as the process lives.
//
//   auto ids = RowIdSource::lease(store, "order-1");       // refused when all lanes are taken: names the holders
//   Result<RowId> order = (*ids)->next(bucket_of_row_id(customer_id));
//
// The lease is renewed in the background, seldom. Without a lease (the process was suspended for longer than it, the
// store cannot be reached, another process took the lane) next() fails with kUnavailable and says why; a source whose
// lane went to another owner leases a new one, a source whose *name* was taken by another process stays without.
// next() waits at most kWaitsMax milliseconds, and only when one bucket makes more than 32 ids in a millisecond.
// Threads: every member from any thread; one thread of its own, for renewals. I/O: the store, wall clock.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/id/row_id_generator.h"
#include "base/io/metrics.h"
#include "base/io/topology_store_file.h"
#include "base/result.h"

namespace tidemark::io {

class RowIdSource {
 public:
  static constexpr int kWaitsMax = 20;

  using WallClock = std::function<UnixMillis()>;

  // `owner`: stable name of this instance of the program, one process at a time. `clock`: for tests; empty: the
  // system's.
  static Result<std::shared_ptr<RowIdSource>> lease(TopologyStoreFile store, std::string owner, WallClock clock = {});
  virtual ~RowIdSource() = default;  // gives the lane back

  // An id of a row in this bucket. kUnavailable: no lease, or the clock went back by more than 5 ms;
  // kResourceExhausted: kWaitsMax waits were not enough.
  virtual Result<RowId> next(Bucket bucket) = 0;
  // An id of a new root, in a random bucket.
  virtual Result<RowId> next_root() = 0;

  // Tells the source about a newer topology, so that it stops at once when its lane was taken.
  virtual void observe(const Topology& topology) = 0;
  // Renews the lease if it is due, or leases anew. What the own thread does now and then; tests call it themselves.
  virtual Status keep_lease() = 0;

  virtual uint32_t lane() const = 0;
  // tidemark_row_ids_total, tidemark_row_id_failures_total{reason}, tidemark_row_id_lane, tidemark_row_id_lease_seconds
  virtual std::vector<MetricFamily> metrics() const = 0;
};

// The owner of a lease: `configured`, or without one a name that no other process has ("tidemark-order-5f3a…"). The
// latter's lane comes back only at an orderly end or after an hour.
std::string instance_name(std::string_view configured, std::string_view program);

}  // namespace tidemark::io
