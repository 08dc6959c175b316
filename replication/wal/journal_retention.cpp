#include "replication/wal/journal_retention.h"

#include <algorithm>

namespace tidemark::replication {

void JournalRetention::on_record(Lsn lsn, uint64_t bytes, int64_t written_us) {
  bool opens = segments_.empty() || segments_.back().bytes >= kSegmentBytes ||
               written_us - segments_.back().first_us >= kSegmentUs;
  if (opens) segments_.push_back({lsn, 0, written_us, written_us});
  Segment& segment = segments_.back();
  segment.last_lsn = lsn;
  segment.bytes += bytes;
  segment.last_us = std::max(segment.last_us, written_us);
  bytes_ += bytes;
}

std::optional<Lsn> JournalRetention::trim(int64_t now_us, std::optional<Lsn> first_unsettled) {
  std::optional<Lsn> through;
  while (segments_.size() > 1) {
    const Segment& oldest = segments_.front();
    bool is_due = bytes_ > limits_.bytes_max || now_us - oldest.last_us > limits_.age_us_max;
    if (!is_due || (first_unsettled && *first_unsettled <= oldest.last_lsn)) break;
    through = oldest.last_lsn;
    bytes_ -= oldest.bytes;
    segments_.pop_front();
  }
  return through;
}

void JournalRetention::clear() {
  segments_.clear();
  bytes_ = 0;
}

}  // namespace tidemark::replication
