// Reads the order of commits from a logical replication slot, as the output plugin test_decoding prints it.
//
// The lines of pg_logical_slot_get_changes(slot, NULL, n, 'include-timestamp', '1'), with TimeZone = UTC:
//
//     BEGIN 754
//     table catalog.product: UPDATE: sku[text]:'0ad' row_version[bigint]:7 price_cents[bigint]:1999
//     COMMIT 754 (at 2026-11-24 06:30:36.123456+00)
//
// give one RowCommit {key "0ad", version 7, content = hash of the named columns, commit time in Unix microseconds}, in
// commit order: the slot emits whole transactions, at the place of their commit. An UPDATE that changes the key gives a
// deletion of the old key and a new row. Tables that are not named are skipped. A line that does not parse is an error,
// never a skip: an oracle that overlooks a commit would acquit a stale answer. Threads: not shared. I/O: none, it is
// fed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tidemark::bench {

struct RowCommit {
  std::string key{};
  int64_t version = 0;  // of a deletion: 0
  bool is_deleted = false;
  uint64_t content = 0;   // content_hash of the columns; of a deletion: 0
  int64_t commit_us = 0;  // Unix microseconds, the commit record's own stamp
  uint8_t table = 0;      // which of CommitStream::Options::tables
  std::string state{};    // of Table::state_column

  bool operator==(const RowCommit&) const = default;
};

// The fingerprint of a row's columns, equal for the texts Postgres prints and the fields of an answer.
uint64_t content_hash(const std::vector<std::string_view>& columns);

// "2026-11-24 06:30:36.123456+00" -> Unix microseconds. The fraction may be shorter or absent; only UTC is accepted.
Result<int64_t> parse_utc_timestamp(std::string_view text);

class CommitStream {
 public:
  struct Table {
    std::string name = "catalog.product";
    std::string key_column = "sku";
    std::string version_column = "row_version";
    std::vector<std::string> content_columns{};
    std::string state_column{};  // empty: none is kept
    std::string key_prefix{};    // tells the keys of this table from another's
  };
  struct Options {
    std::vector<Table> tables;
  };
  explicit CommitStream(Options options) : options_(std::move(options)) {}

  // One line (the function's `data` column). The rows of a transaction are given out at its COMMIT.
  Status feed(std::string_view line);
  std::vector<RowCommit> take_commits() { return std::exchange(committed_, {}); }

 private:
  using Columns = std::vector<std::pair<std::string, std::string>>;

  Status feed_change(uint8_t table, std::string_view change);
  Status feed_commit(std::string_view rest);
  Result<Columns> parse_columns(std::string_view text) const;
  Status add_row(uint8_t table, const Columns& columns);
  Status add_deletion(uint8_t table, const Columns& columns);

  Options options_;
  std::vector<RowCommit> open_;  // rows of the transaction that has not come to its COMMIT line
  std::vector<RowCommit> committed_;
};

}  // namespace tidemark::bench
