// What commands may see of their worker: who it is, the topology, the families, configuration, statistics.
//
// A lone node (no topology store) has a topology too: `is_clustered()` is false and it owns every slot. The view turns
// each topology into two tables that the hot path reads: one byte per slot, and the families sorted by prefix.
//
//   family_of_key("product:{abc}")   families "product" (prefix "product:{") and "p" (prefix "p")  -> "product"
//
// Invariants: topology() is never null; views and pointers from it live until the next adopt_topology().
// Threads: its worker's own. I/O: none; the shell hands in every new topology.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/slot.h"
#include "base/topology/topology.h"
#include "cacheserver/worker/slow_log.h"
#include "cacheserver/worker/worker_config.h"
#include "cacheserver/worker/worker_stats.h"

namespace tidemark::cacheserver {

class Session;

struct Credentials {
  std::string default_password{};      // empty: no authentication is asked for
  std::string invalidator_password{};  // empty: every user may send the invalidator's commands
};

struct Endpoint {
  std::string_view host;
  uint16_t port = 0;
};

class WorkerView {
 public:
  struct Identity {
    std::string node_id = "local";
    uint32_t worker_index = 0;
    uint32_t workers = 1;
    uint64_t incarnation = 0;  // 64 random bits of this process
    std::string host = "127.0.0.1";
    uint16_t port = 0;
    uint64_t process_id = 0;
    Instant started_at{};
    bool forwards = false;  // to the sibling that has the keys, instead of answering MOVED: a node alone
  };

  WorkerView(Identity identity, WorkerConfig config, Credentials credentials);

  const Identity& identity() const { return identity_; }
  const std::string& cluster_id() const {
    return cluster_id_;
  }  // 40 hex digits: this worker, as cluster clients know it
  uint64_t incarnation() const { return identity_.incarnation; }

  // --- topology ---
  bool is_clustered() const { return is_clustered_; }
  const Topology& topology() const { return *topology_; }
  const std::shared_ptr<const Topology>& shared_topology() const { return topology_; }
  void adopt_topology(std::shared_ptr<const Topology> topology);  // from then on the worker is clustered
  bool owns_slot(Slot slot) const { return owned_slots_.test(slot); }
  size_t owned_slot_count() const { return owned_slots_.count(); }
  uint32_t slots_version() const { return topology_->slots_version; }
  uint32_t group_epoch() const { return group_epoch_; }  // of the group this node is in; 0 in none
  bool is_primary() const { return is_primary_; }
  // The primary's worker that serves the slot; nullopt: nobody, or a node that has not registered its ports yet.
  std::optional<Endpoint> endpoint_of_slot(Slot slot) const;
  // The worker of this node that serves the slot. Requires is_clustered(); for nodes that forward.
  uint32_t worker_of_slot(Slot slot) const { return slot_workers_[slot]; }
  bool forwards() const { return identity_.forwards; }
  // The shard and bucket epoch behind a slot; nullopt: no database.
  std::optional<BucketOwner> database_of_slot(Slot slot) const {
    return topology_->owner_of_bucket(bucket_of_slot(slot));
  }

  // --- families ---
  // The family with the longest prefix that the key begins with; nullptr: none.
  const Family* family_of_key(std::string_view key) const;
  // The same, if its rows stand in the database: plain writes on such keys answer PROTECTED.
  const Family* database_family_of_key(std::string_view key) const {
    return has_database_families_ ? find_database_family(key) : nullptr;
  }
  bool has_database_families() const { return has_database_families_; }

  // --- users ---
  const Credentials& credentials() const { return credentials_; }
  bool needs_password() const { return !credentials_.default_password.empty(); }

  // --- configuration, statistics, clients ---
  WorkerConfig& config() { return config_; }
  const WorkerConfig& config() const { return config_; }
  WorkerStats& stats() { return stats_; }
  const WorkerStats& stats() const { return stats_; }
  const std::vector<CommandStats>& command_stats() const { return command_stats_; }
  std::vector<CommandStats>& command_stats() { return command_stats_; }  // by row of the command table
  SlowLog& slow_log() { return slow_log_; }
  std::map<uint64_t, Session*>& sessions() { return sessions_; }  // open connections of this worker, by id
  // Ids of sessions that a command (CLIENT KILL) closed; the shell closes the sockets after the turn.
  std::vector<uint64_t>& killed_sessions() { return killed_sessions_; }

 private:
  struct Prefix {
    std::string text;
    const Family* family = nullptr;
  };
  void index_slots();
  void own_slots_of_group(size_t group);
  void index_families();
  const Family* find_database_family(std::string_view key) const;

  Identity identity_;
  WorkerConfig config_;
  Credentials credentials_;
  std::string cluster_id_;
  std::shared_ptr<const Topology> topology_;
  bool is_clustered_ = false;
  bool is_primary_ = true;
  bool has_database_families_ = false;
  uint32_t group_epoch_ = 0;
  std::bitset<kSlotCount> owned_slots_;
  std::vector<uint16_t> slot_workers_;  // per slot, the worker of its primary
  std::bitset<256> first_bytes_;        // of the prefixes: most keys are told apart by one bit
  bool has_empty_prefix_ = false;
  std::vector<Prefix> prefixes_;  // longest first
  WorkerStats stats_;
  std::vector<CommandStats> command_stats_;
  SlowLog slow_log_;
  std::map<uint64_t, Session*> sessions_;
  std::vector<uint64_t> killed_sessions_;
};

}  // namespace tidemark::cacheserver
