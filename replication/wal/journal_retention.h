// Which part of the journal may go: by age and size, but never a commit that is not settled.
//
// Records are counted in segments, so that a journal of millions of records costs a few thousand entries here.
// Threads: one. I/O: none. Limits: kSegmentBytes and kSegmentUs, whichever is reached first, close a segment.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "base/proof/lsn.h"

namespace tidemark::replication {

class JournalRetention {
 public:
  struct Limits {
    uint64_t bytes_max = 1ull << 30;
    int64_t age_us_max = 3'600'000'000;
  };
  static constexpr uint64_t kSegmentBytes = 1u << 20;
  static constexpr int64_t kSegmentUs = 10'000'000;

  explicit JournalRetention(Limits limits) : limits_(limits) {}

  // `written_us`: wall-clock time; a clock that jumps only keeps records longer or shorter.
  void on_record(Lsn lsn, uint64_t bytes, int64_t written_us);

  // The position up to which records are to be dropped, or nothing. The newest segment always stays.
  std::optional<Lsn> trim(int64_t now_us, std::optional<Lsn> first_unsettled);

  void clear();
  uint64_t bytes() const { return bytes_; }

 private:
  struct Segment {
    Lsn last_lsn;
    uint64_t bytes = 0;
    int64_t first_us = 0;
    int64_t last_us = 0;
  };
  Limits limits_;
  std::deque<Segment> segments_;
  uint64_t bytes_ = 0;
};

}  // namespace tidemark::replication
