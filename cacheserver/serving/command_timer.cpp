#include "cacheserver/serving/command_timer.h"

#include <algorithm>

namespace tidemark::cacheserver {

void CommandTimer::begin(uint32_t row) {
  const bool is_timed = row != CommandTable::kNoRow;
  if (is_timed || row_ != CommandTable::kNoRow) {
    const Instant now = clock_();
    if (row_ != CommandTable::kNoRow) charge(now);
    began_at_ = now;
  }
  row_ = row;
  calls_ = 0;
  if (!is_timed) return;
  const CommandSpec& spec = table_.spec(row);
  is_fast_ = (spec.flags & kFast) != 0 || (spec.first_key > 0 && spec.first_key == spec.last_key);
}

void CommandTimer::charge(Instant ended_at) {
  const auto micros = static_cast<uint64_t>(std::max<int64_t>(0, (ended_at - began_at_).count()));
  view_.command_stats()[row_].micros.add(micros);
  const int64_t limit = view_.config().slowlog_slower_than_us;
  const bool is_secret = (table_.spec(row_).flags & kNoAuth) != 0;  // AUTH, HELLO: passwords
  if (limit < 0 || is_secret || micros / calls_ < static_cast<uint64_t>(limit)) return;
  view_.slow_log().add(arguments_, micros / calls_, unix_now_, session_->peer_address, session_->name,
                       view_.config().slowlog_entries_max);
}

}  // namespace tidemark::cacheserver
