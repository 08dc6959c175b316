// Which stamp a FENCE may carry back to its worker, so that the worker knows its staleness without comparing clocks.
//
// A worker's answers carry a stamp of its own steady clock. A sample of the primary's insert LSN is taken now and then.
// Whatever was committed before the worker made stamp s was inserted at or before the LSN of any sample that started
// after s arrived here. So once the worker has everything up to that LSN, it has every commit older than s:
//
//   stamp 500 arrives   sample 1 starts   stamp 600 arrives   sample 1 = 0/90   stream at 0/80: echo none
//                                                                              stream at 0/90: echo 500 (not 600)
//
// Keepalives cannot do this: the walsender dates them "now" while its position is seconds behind.
// Threads: one. I/O: none. Limits: kSamplesMax samples wait for the stream; more are not remembered (the bound then
// grows, which is the truth about a stream that far behind).
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "base/proof/lsn.h"

namespace tidemark::replication {

class EchoClock {
 public:
  static constexpr size_t kSamplesMax = 512;

  void on_stamp(uint64_t stamp) { newest_ = stamp; }
  // About to ask the primary; ids ascend.
  void on_sample_started(uint64_t sample);
  void on_sample(uint64_t sample, Lsn insert_lsn);
  // The sample got no answer.
  void on_sample_lost(uint64_t sample);

  // The echo for a FENCE that brings the worker to `lsn`; 0: none. A worker that fell back below the sample of the
  // newest usable stamp gets none until it is there again.
  uint64_t take_echo(Lsn lsn);

  // The worker is another process now: its stamps mean nothing any more.
  void reset() { *this = EchoClock(); }

 private:
  struct Sample {
    uint64_t id = 0;
    uint64_t stamp = 0;
    std::optional<Lsn> insert_lsn;
  };
  std::deque<Sample> samples_;
  uint64_t newest_ = 0;
  uint64_t usable_ = 0;
  Lsn usable_from_;
};

}  // namespace tidemark::replication
