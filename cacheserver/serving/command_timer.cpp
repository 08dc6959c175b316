#include "cacheserver/serving/command_timer.h"

#include <algorithm>

namespace tidemark::cacheserver {

void CommandTimer::begin(uint32_t row) {
  stop();
  row_ = row;
  if (row == CommandTable::kNoRow) return;
  is_fast_ = (table_.spec(row).flags & kFast) != 0;
  began_at_ = clock_();
}

void CommandTimer::stop() {
  if (row_ != CommandTable::kNoRow) {
    const auto micros = static_cast<uint64_t>(std::max<int64_t>(0, (clock_() - began_at_).count()));
    view_.command_stats()[row_].micros.add(micros);
    const int64_t limit = view_.config().slowlog_slower_than_us;
    const bool is_secret = (table_.spec(row_).flags & kNoAuth) != 0;  // AUTH, HELLO: passwords
    if (limit >= 0 && !is_secret && micros / calls_ >= static_cast<uint64_t>(limit)) {
      view_.slow_log().add(arguments_, micros / calls_, unix_now_, session_->peer_address, session_->name,
                           view_.config().slowlog_entries_max);
    }
  }
  row_ = CommandTable::kNoRow;
  calls_ = 0;
}

}  // namespace tidemark::cacheserver
