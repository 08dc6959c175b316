// Topology: one immutable snapshot of "slot -> group -> node -> worker" and "bucket -> shard -> server".
//
// It lives in the topology store as one JSON document per version (topology_json.h); every change is a new version
// written by compare-and-set. The shards themselves are the truth about buckets; what stands here is a copy that a
// shard's refusal heals.
//
//   slots_version   grows when a slot changes its group, a node its ports, or the families change (in fill leases and
//                   in the invalidator's messages: a sender with an older one is refused)
//   group epoch     grows when a group changes its primary     (in fill leases)
//   bucket epoch    grows when a bucket changes its shard      (in proofs)
//
// Threads: a value; share it as shared_ptr<const Topology>. I/O: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/family/family.h"
#include "base/proof/lsn.h"
#include "base/slot.h"

namespace tidemark {

inline constexpr uint16_t kNoGroup = 0xffff;

struct Node {
  std::string id;                      // operator's name: "n1"; stable over restarts
  std::string host = "127.0.0.1";      // MOVED and CLUSTER SLOTS name the node by exactly this string
  std::vector<uint16_t> worker_ports;  // worker i listens on worker_ports[i]; 0 or empty = not yet registered
  uint16_t metrics_port = 0;           // admin HTTP: /metrics, /healthz, /readyz
  uint32_t workers = 1;                // how many workers it runs
  bool operator==(const Node&) const = default;
};

struct Group {
  std::string id;                  // "g1"
  uint32_t epoch = 1;              // group_epoch
  std::vector<std::string> nodes;  // node ids; nodes[0] is the primary
  double weight = 1.0;
  bool operator==(const Group&) const = default;
};

struct ShardServer {
  enum class Role : uint8_t { kPrimary, kReplica };
  std::string name;  // "s0-primary"
  Role role = Role::kPrimary;
  std::string conninfo;  // libpq keywords without user and password: "host=/tmp/x port=5432 dbname=tidemark"
  bool operator==(const ShardServer&) const = default;
};

struct Shard {
  ShardId id = 0;
  std::vector<ShardServer> servers;
  bool operator==(const Shard&) const = default;

  const ShardServer* primary() const;  // nullptr if none is known
};

struct BucketOwner {
  ShardId shard = 0;
  BucketEpoch epoch = 1;
  bool operator==(const BucketOwner&) const = default;
};

// Who may make row ids in a lane, and up to which time (base/id/row_id.h). An ended lease stands until the lane is
// taken again: its `until` is where the next holder's ids begin.
struct LaneLease {
  uint32_t lane = 0;
  std::string owner;   // stable name of the program's instance: "order-1"
  std::string holder;  // random name of its process
  UnixMillis until;    // every id of this holder has an earlier time
  bool operator==(const LaneLease&) const = default;
};

struct Topology {
  uint64_t version = 0;
  uint32_t slots_version = 0;
  std::vector<Node> nodes;
  std::vector<Group> groups;
  std::vector<uint16_t> slot_groups;  // kSlotCount indexes into groups, or kNoGroup; empty = no slot is served
  std::vector<Shard> shards;
  std::vector<BucketOwner> buckets;  // kBucketCount entries, or empty = no database behind the cache
  uint64_t families_version = 0;
  std::vector<Family> families;
  std::vector<LaneLease> lanes;  // ascending by lane; those that were ever taken

  bool operator==(const Topology&) const = default;

  const Node* find_node(std::string_view id) const;
  const Group* group_of_slot(Slot slot) const;  // nullptr when the slot is served by nobody
  const Node* primary_of_slot(Slot slot) const;
  const Shard* find_shard(ShardId id) const;
  std::optional<BucketOwner> owner_of_bucket(Bucket bucket) const;
};

// 40 hex digits for CLUSTER NODES/MYID: SHA-1 of "node/worker".
std::string cluster_id_of(std::string_view node_id, uint32_t worker);

}  // namespace tidemark
