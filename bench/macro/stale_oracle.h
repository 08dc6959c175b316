// Judges every answer against the order in which the database committed: was it as fresh as it said?
//
// The history of a row is the list of its commits, in commit order, read from a logical slot of the oracle's own. An
// answer that was asked for at `start` with the bound `b` must contain every version that was committed before start -
// b:
//
//     commits of row k      v1 .......... v2 ........ v3
//     completed at          100           200         300
//     asked at 260, b = 50  needs v2 (completed 200 <= 210): v1 is stale, v2 and v3 are fine
//
// When is a version "committed before" t? The stamp in the commit record is taken before the record is flushed and
// before anyone can see the row, so a reader that asks in between rightly sees the older row. A version counts from its
// *completion*: the earliest of (a) the moment its writer had the acknowledgement, (b) the stamp of the row's next
// commit, which had to wait for the row's lock, hence until this one was visible, (c) the stamp plus kCompletionMax. So
// no answer is called stale that a reader of the primary could have got, and a commit whose writer never heard of it
// still counts. How many answers would be stale by the bare stamp is counted beside it.
//
// Also wrong: a version that never committed (phantom), a version whose columns differ (content), a version stamped
// after the answer had come (future), an answer without bound from a cache or replica (bound missing). A bound-less
// answer from the primary is held to bound 0. A lost write is an acknowledged (key, version) that the commit order does
// not hold. Comparing with the table afterwards would prove nothing: it cannot tell which version was due at what time.
//
// Threads: not shared. I/O: none. Memory: about 40 bytes per commit.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bench/macro/answer_log.h"
#include "bench/macro/commit_stream.h"

namespace tidemark::bench {

enum class Verdict : uint8_t { kFresh, kStale, kBoundMissing, kPhantom, kWrongContent, kFromTheFuture };
inline constexpr size_t kVerdictCount = 6;
std::string_view to_string(Verdict verdict);

class StaleOracle {
 public:
  static constexpr int64_t kCompletionMaxUs = 1'000'000;

  // All commits of the row family in commit order, from before the first write on. A row not named here never existed.
  void add(const RowCommit& commit);
  // The writer of (key, version) had its acknowledgement at `at_us`. Call for each before judging.
  void acknowledge(std::string_view key, int64_t version, int64_t at_us);

  struct Judgement {
    Verdict verdict = Verdict::kFresh;
    bool is_stale_by_stamp = false;  // would be stale if a version counted from its bare commit stamp
    int64_t late_by_us = 0;       // of a stale answer: how long before (start - bound) the missing version was complete
    int64_t missing_version = 0;  // the oldest version the answer should have contained and did not; 0: the deletion
  };
  // Requires a record of kind kAnswer or kAbsent.
  Judgement judge(std::string_view key, const AnswerRecord& answer) const;

  // Acknowledged writes that are not in the commit order, "0ad version 7".
  uint64_t lost() const;
  std::vector<std::string> lost_examples(size_t count_max) const;

  uint64_t commits() const { return commits_; }
  uint64_t acknowledged() const { return acknowledged_; }
  bool has_row(std::string_view key) const;  // was it ever committed?

 private:
  struct Commit {
    int64_t version;
    uint64_t content;
    int64_t stamp_us;
    int64_t acknowledged_us;
    bool is_deleted;
  };
  struct Row {
    std::vector<Commit> commits;
    std::vector<std::pair<int64_t, int64_t>> unmatched;  // acknowledged versions that no commit has (yet), and when
  };

  static int64_t completed_us(const Row& row, size_t at);
  // Position of the last commit counted before `deadline`, or -1: nothing of this row.
  static int64_t last_before(const Row& row, int64_t deadline_us, bool by_stamp);
  static int64_t position_of(const Row& row, const AnswerRecord& answer);

  std::unordered_map<std::string, Row> rows_;
  uint64_t commits_ = 0;
  uint64_t acknowledged_ = 0;
};

// Counts of verdicts over many answers, with a few examples of each that is not fresh.
struct OracleTally {
  static constexpr size_t kExamplesMax = 10;

  uint64_t checked = 0;
  std::array<uint64_t, kVerdictCount> by_verdict{};
  uint64_t stale_by_stamp = 0;
  int64_t late_by_us_max = 0;
  std::vector<std::string> examples;

  void add(std::string_view key, const AnswerRecord& answer, const StaleOracle::Judgement& judgement);
  uint64_t count(Verdict verdict) const { return by_verdict[static_cast<size_t>(verdict)]; }
};

}  // namespace tidemark::bench
