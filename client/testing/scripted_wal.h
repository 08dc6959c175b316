// The commit log of a make-believe shard, written by a test: what every reader sees is a position in it.
//
//   ScriptedWal wal;
//   wal.commit({{"note:{a}", {{{"slug", "a"}, {"body", "one"}}}}});       ends at 0/200
//   wal.commit({{"note:{a}", {{{"slug", "a"}, {"body", "two"}}}}});       ends at 0/300
//   wal.rows_at("note:{a}", Lsn{0x200})   -> body one: what a replica that replayed so far answers
//
// A key stands for the rows that a family's key stands for. Threads: none; the owner locks. I/O: none.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/proof/lsn.h"

namespace tidemark::testing {

using FakeRow = std::map<std::string, std::optional<std::string>>;  // column -> Postgres's text, nullopt: NULL

class ScriptedWal {
 public:
  struct Change {
    std::string key;
    std::vector<FakeRow> rows;  // what the key's rows are from now on; empty: none
  };
  struct Commit {
    Lsn end;
    Xid xid = 0;
    std::vector<std::string> keys;
  };

  const Commit& commit(std::vector<Change> changes, std::vector<std::string> other_keys = {});

  std::vector<FakeRow> rows_at(const std::string& key, Lsn position) const;
  Lsn end() const { return commits_.empty() ? kStart : commits_.back().end; }
  Xid next_xid() const { return next_xid_; }
  const std::vector<Commit>& commits() const { return commits_; }

 private:
  static constexpr Lsn kStart{0x100};
  static constexpr uint64_t kCommitBytes = 0x100;
  std::vector<Commit> commits_;
  std::map<std::string, std::map<Lsn, std::vector<FakeRow>>> history_;
  Xid next_xid_ = 1000;
};

}  // namespace tidemark::testing
