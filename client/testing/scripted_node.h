// One cache node of the make-believe cluster: GETL, SETV, INVAL, STAGE and plain GET, SET, DEL, with the fill rule.
//
// Small, but honest where it matters to a service: a fill is refused when its proof lacks a commit that the node knows
// of, its lease is gone, or its epochs are not the shard's. Staged values are not kept: STAGE only invalidates.
// Threads: none; the owner locks. I/O: none.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/proof/proof.h"
#include "base/wire/resp_writer.h"
#include "client/testing/scripted_wal.h"

namespace tidemark::testing {

class ScriptedNode {
 public:
  static constexpr DbEpoch kDbEpoch = 1;
  static constexpr BucketEpoch kBucketEpoch = 1;
  static constexpr Duration kLeaseLife = std::chrono::seconds(10);

  // The answer to one request, as RESP bytes.
  std::string answer(const std::vector<std::string>& request, Instant now);

  void apply(const ScriptedWal::Commit& commit);   // the stream brought it
  void fence(Instant when) { fenced_at_ = when; }  // everything until then has been applied
  bool holds(const std::string& key) const { return entries_.contains(key); }
  void clear() { *this = ScriptedNode(); }

 private:
  struct Entry {
    std::optional<std::string> value;  // nullopt: proven absent
    Lsn lo, hi;
    std::optional<Instant> ends;
  };
  struct Lease {
    std::string text;
    Instant granted;
  };
  struct Tombstone {
    Lsn end;
    Xid xid = 0;
  };
  using Request = std::vector<std::string>;

  void getl(const Request& request, Instant now, RespWriter& writer);
  void setv(const Request& request, Instant now, RespWriter& writer);
  void drop(const std::string& key, const Tombstone& tombstone);
  void plain(const Request& request, Instant now, RespWriter& writer);
  Entry* find(const std::string& key, Instant now);

  std::map<std::string, Entry> entries_;
  std::map<std::string, Lease> leases_;
  std::map<std::string, Tombstone> tombstones_;
  Lsn complete_through_;
  Instant fenced_at_{};
  uint64_t last_lease_ = 0;
};

}  // namespace tidemark::testing
