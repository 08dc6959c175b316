#include "bench/macro/stale_oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace tidemark::bench {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int64_t kBeforeFirst = -1;  // positions in a row's history that are no commit of it
constexpr int64_t kNowhere = -2;

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kFresh:
      return "fresh";
    case Verdict::kStale:
      return "stale";
    case Verdict::kBoundMissing:
      return "bound_missing";
    case Verdict::kPhantom:
      return "phantom";
    case Verdict::kWrongContent:
      return "wrong_content";
    case Verdict::kFromTheFuture:
      return "from_the_future";
  }
  return "unknown";
}

void StaleOracle::add(const RowCommit& commit) {
  Row& row = rows_[commit.key];
  int64_t acknowledged_us = kNever;
  if (!commit.is_deleted) {
    const auto early = std::ranges::find(row.unmatched, commit.version, &std::pair<int64_t, int64_t>::first);
    if (early != row.unmatched.end()) {  // the acknowledgement was told before the commit
      acknowledged_us = early->second;
      row.unmatched.erase(early);
    }
  }
  row.commits.push_back({commit.version, commit.content, commit.commit_us, acknowledged_us, commit.is_deleted});
  ++commits_;
}

void StaleOracle::acknowledge(std::string_view key, int64_t version, int64_t at_us) {
  ++acknowledged_;
  Row& row = rows_[std::string(key)];
  // From the newest on: after a deletion and a new insert, a version may come twice.
  for (auto commit = row.commits.rbegin(); commit != row.commits.rend(); ++commit) {
    if (commit->is_deleted || commit->version != version || commit->stamp_us > at_us) continue;
    commit->acknowledged_us = std::min(commit->acknowledged_us, at_us);
    return;
  }
  row.unmatched.emplace_back(version, at_us);
}

int64_t StaleOracle::completed_us(const Row& row, size_t at) {
  const Commit& commit = row.commits[at];
  int64_t completed = std::min(commit.acknowledged_us, commit.stamp_us + kCompletionMaxUs);
  if (at + 1 < row.commits.size()) completed = std::min(completed, row.commits[at + 1].stamp_us);
  return completed;
}

// Both times never decrease along a row: a commit waits for the row's lock, hence for the one before it to be complete.
int64_t StaleOracle::last_before(const Row& row, int64_t deadline_us, bool by_stamp) {
  size_t begin = 0, end = row.commits.size();
  while (begin < end) {
    const size_t middle = begin + (end - begin) / 2;
    const int64_t counted_from = by_stamp ? row.commits[middle].stamp_us : completed_us(row, middle);
    if (counted_from < deadline_us) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return static_cast<int64_t>(begin) - 1;
}

// The newest commit that the answer can stand for: its version with its columns, for a row that was deleted and
// inserted again has every version more than once. Without such a commit one of the same version, whose columns will be
// found wrong.
int64_t StaleOracle::position_of(const Row& row, const AnswerRecord& answer) {
  const int64_t newest = last_before(row, answer.end_us + 1, true);
  if (answer.kind == RecordKind::kAbsent) {
    for (int64_t at = newest; at >= 0; --at) {
      if (row.commits[static_cast<size_t>(at)].is_deleted) return at;
    }
    return kBeforeFirst;
  }
  int64_t of_version = kNowhere;
  for (int64_t at = newest; at >= 0; --at) {
    const Commit& commit = row.commits[static_cast<size_t>(at)];
    if (commit.is_deleted || commit.version != answer.version) continue;
    if (commit.content == answer.content) return at;
    if (of_version == kNowhere) of_version = at;
  }
  return of_version;
}

StaleOracle::Judgement StaleOracle::judge(std::string_view key, const AnswerRecord& answer) const {
  static const Row kNoRow;
  const auto found = rows_.find(std::string(key));
  const Row& row = found == rows_.end() ? kNoRow : found->second;

  const int64_t position = position_of(row, answer);
  if (position == kNowhere) {
    const bool is_known = std::ranges::any_of(
        row.commits, [&](const Commit& commit) { return !commit.is_deleted && commit.version == answer.version; });
    return {.verdict = is_known ? Verdict::kFromTheFuture : Verdict::kPhantom};
  }
  if (answer.kind == RecordKind::kAnswer && row.commits[static_cast<size_t>(position)].content != answer.content) {
    return {.verdict = Verdict::kWrongContent};
  }
  int64_t bound_ms = answer.bound_ms;
  if (bound_ms < 0) {
    if (answer.origin != Origin::kPrimary) return {.verdict = Verdict::kBoundMissing};
    bound_ms = 0;
  }
  const int64_t deadline_us = answer.start_us - bound_ms * 1000;
  Judgement judgement;
  judgement.is_stale_by_stamp = last_before(row, deadline_us, true) > position;
  const int64_t due = last_before(row, deadline_us, false);
  if (due > position) {
    const auto missing = static_cast<size_t>(position + 1);
    judgement.verdict = Verdict::kStale;
    judgement.late_by_us = deadline_us - completed_us(row, missing);
    judgement.missing_version = row.commits[missing].version;
  }
  return judgement;
}

bool StaleOracle::has_row(std::string_view key) const {
  const auto found = rows_.find(std::string(key));
  return found != rows_.end() && !found->second.commits.empty();
}

uint64_t StaleOracle::lost() const {
  uint64_t count = 0;
  for (const auto& [key, row] : rows_) count += row.unmatched.size();
  return count;
}

std::vector<std::string> StaleOracle::lost_examples(size_t count_max) const {
  std::vector<std::string> examples;
  for (const auto& [key, row] : rows_) {
    for (const auto& [version, at_us] : row.unmatched) {
      if (examples.size() == count_max) return examples;
      examples.push_back(fmt::format("{} version {}", key, version));
    }
  }
  return examples;
}

void OracleTally::add(std::string_view key, const AnswerRecord& answer, const StaleOracle::Judgement& judgement) {
  ++checked;
  ++by_verdict[static_cast<size_t>(judgement.verdict)];
  if (judgement.is_stale_by_stamp) ++stale_by_stamp;
  late_by_us_max = std::max(late_by_us_max, judgement.late_by_us);
  if (judgement.verdict == Verdict::kFresh || examples.size() >= kExamplesMax) return;
  examples.push_back(
      fmt::format("{}: {} {} from {} with bound {} ms, asked at {} us; missing version {}, {:.1f} ms late",
                  to_string(judgement.verdict), key,
                  answer.kind == RecordKind::kAbsent ? "absent" : fmt::format("version {}", answer.version),
                  to_string(answer.origin), answer.bound_ms, answer.start_us, judgement.missing_version,
                  static_cast<double>(judgement.late_by_us) / 1000));
}

}  // namespace tidemark::bench
