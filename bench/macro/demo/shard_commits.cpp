#include "bench/macro/demo/shard_commits.h"

#include <fmt/format.h>

#include <iterator>

namespace tidemark::bench {

Result<ShardCommits> ShardCommits::create(Options options) {
  ShardCommits commits;
  commits.shard_of_ = std::move(options.shard_of);
  for (size_t shard = 0; shard < options.conninfos.size(); ++shard) {
    auto reader = CommitReader::create({.conninfo = options.conninfos[shard], .stream = {.tables = options.tables}});
    if (!reader) return std::unexpected(reader.error().with_context(fmt::format("shard {}", shard)));
    commits.readers_.push_back(std::move(*reader));
  }
  return commits;
}

Result<std::vector<RowCommit>> ShardCommits::finish(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::vector<RowCommit> all;
  for (size_t shard = 0; shard < readers_.size(); ++shard) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    auto commits = readers_[shard]->finish(std::max(left, CommitReader::kReadInterval));
    if (!commits) return std::unexpected(commits.error().with_context(fmt::format("shard {}", shard)));
    for (const RowCommit& commit : *commits)
      if (commit.table == 0 && shard_of_(bucket_of_natural_key(commit.key)) != shard) ++misplaced_;
    all.insert(all.end(), std::make_move_iterator(commits->begin()), std::make_move_iterator(commits->end()));
  }
  return all;
}

uint64_t ShardCommits::commits() const {
  uint64_t count = 0;
  for (const auto& reader : readers_) count += reader->commits();
  return count;
}

}  // namespace tidemark::bench
