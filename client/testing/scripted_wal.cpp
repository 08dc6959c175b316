#include "client/testing/scripted_wal.h"

#include <utility>

namespace tidemark::testing {

const ScriptedWal::Commit& ScriptedWal::commit(std::vector<Change> changes, std::vector<std::string> other_keys) {
  Commit commit;
  commit.end = Lsn{end().value + kCommitBytes};
  commit.xid = next_xid_++;
  commit.keys = std::move(other_keys);
  for (Change& change : changes) {
    commit.keys.push_back(change.key);
    history_[change.key][commit.end] = std::move(change.rows);
  }
  return commits_.emplace_back(std::move(commit));
}

std::vector<FakeRow> ScriptedWal::rows_at(const std::string& key, Lsn position) const {
  auto found = history_.find(key);
  if (found == history_.end()) return {};
  auto after = found->second.upper_bound(position);
  if (after == found->second.begin()) return {};
  return std::prev(after)->second;
}

}  // namespace tidemark::testing
