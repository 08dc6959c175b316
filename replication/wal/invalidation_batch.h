// The invalidator's commands on the wire (PROTOCOL.md) and the records of its journal, encoded and decoded.
//
// Commits of a batch are split over several INVALB when a limit is reached; they are numbered (more = 2·part, plus
// 1 if parts follow), so that a receiver notices a lost part, and the position moves once, with the last. A transaction
// of many keys is split too: its parts repeat its header. A key's stage stands in the part that carries the key. An
// encoder never makes what the decoder would refuse. What moved goes to every worker, whatever its slots: it is little.
// Threads: pure functions. I/O: none.
#pragma once

#include <bitset>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/proof/pg_snapshot.h"
#include "base/result.h"
#include "replication/wal/commit.h"

namespace tidemark::replication {

inline constexpr size_t kBatchTransactionsMax = 1024;
inline constexpr size_t kBatchKeysMax = 4096;
inline constexpr size_t kBatchMovedMax = 4096;
inline constexpr size_t kBatchBytesMax = 4u << 20;

using SlotSet = std::bitset<kSlotCount>;

// What the invalidator's commands have in common.
struct FeedAddress {
  ShardId shard = 0;
  DbEpoch db_epoch = 0;
  uint32_t slots_version = 0;
  bool operator==(const FeedAddress&) const = default;
};

// INVALB p e sv prev_lsn last_lsn more replay ntx (xid end_lsn commit_us nkeys key …)×ntx [STAGED n (xid key stage)×n]
// [MOVED n (end_lsn bucket be)×n], as a receiver sees it.
struct InvalidationBatch {
  struct Transaction {
    Xid xid = 0;
    Lsn end_lsn;
    int64_t commit_us = 0;
    std::vector<std::string_view> keys;  // views into the arguments
  };
  struct Staged {
    Xid xid = 0;
    std::string_view key;
    uint64_t stage = 0;
    bool operator==(const Staged&) const = default;
  };
  struct Moved {
    Lsn end_lsn;
    MovedBucket bucket;
    bool operator==(const Moved&) const = default;
  };
  FeedAddress address;
  Lsn prev_lsn;
  Lsn last_lsn;
  uint32_t part = 0;
  bool has_more = false;
  bool is_replay = false;
  std::vector<Transaction> transactions;
  std::vector<Staged> staged;  // each a key of one of the transactions
  std::vector<Moved> moved;    // in the order of the log
};

// The arguments after the command's name. kInvalidArgument names the argument that is wrong.
Result<InvalidationBatch> decode_invalb(std::span<const std::string_view> arguments);

struct InvalbOptions {
  FeedAddress address{};
  Lsn prev_lsn;
  Lsn last_lsn;
  bool is_replay = false;
  bool without_keys = false;  // a plant for tests of the tests: positions move, nothing is invalidated
};
// One request per part; never empty. Only keys of `slots` are sent, and what moved; commits without either are left
// out.
std::vector<std::string> encode_invalb(const InvalbOptions& options, std::span<const Commit* const> commits,
                                       const SlotSet& slots);

struct Fence {
  FeedAddress address;
  Lsn prev_lsn;
  Lsn lsn;
  Lsn settled;                           // 0/0: none
  const PgSnapshot* snapshot = nullptr;  // nullptr: none
  uint64_t echo = 0;                     // 0: none
};
std::string encode_fence(const Fence& fence);
// `address` names the new epoch; `prev` ended where `switch_lsn` is.
std::string encode_epoch(const FeedAddress& address, DbEpoch prev, Lsn switch_lsn);
std::string encode_fenceall(const FeedAddress& address, Lsn lsn);
std::string encode_tide();

// One record of the journal: the commits between two positions of the stream.
struct JournalRecord {
  Lsn prev_lsn;
  Lsn lsn;
  std::vector<Commit> commits;
  bool operator==(const JournalRecord&) const = default;
};
std::string encode_journal_record(const JournalRecord& record);
Result<JournalRecord> decode_journal_record(std::string_view bytes);

}  // namespace tidemark::replication
