// The keyspace's far values: those on their way from clients, and spare ones.
#include <algorithm>

#include "cacheserver/keyspace/keyspace.h"
#include "cacheserver/keyspace/keyspace_tables.h"

namespace tidemark::cacheserver {
namespace {

constexpr size_t kEntryBytes = 128;  // about what the entry itself will take besides

}  // namespace

FarValue* Keyspace::begin_receive(size_t bytes, Instant now) {
  if (bytes < kFarValueBytes || bytes > kReceivedValueMax) return nullptr;
  const uint64_t most = budget_.bytes_max == 0
                            ? kReceivedBytesMax
                            : std::min<uint64_t>(kReceivedBytesMax, budget_.bytes_max / kReceivedShare);
  if (received_bytes_ + bytes > most) return nullptr;
  // Nobody knows yet whether the command will be obeyed: for it, one turn's work, and nothing beyond the limit.
  const bool has_room = has_block(kEntryBytes, bytes, Depth::kNormal) ||
                        (reclaim_for(kEntryBytes, bytes, now) && has_block(kEntryBytes, bytes, Depth::kReserve));
  if (!has_room) return nullptr;
  FarValue* value = make_far(bytes);
  if (value == nullptr) return nullptr;
  received_.push_back(value);
  received_bytes_ += value->bytes_held();
  refresh_budget();
  return value;
}

void Keyspace::end_receive(FarValue* value) {
  if (auto at = std::ranges::find(received_, value); at != received_.end()) {
    received_.erase(at);
    received_bytes_ -= value->bytes_held();
  }
  spares_.give(value);
  refresh_budget();
}

FarValue* Keyspace::received_at(std::string_view value) const {
  if (value.size() < kFarValueBytes) return nullptr;
  auto at = std::ranges::find(received_, value.data(), [](FarValue* received) { return received->data(); });
  return at == received_.end() ? nullptr : *at;
}

// From now on an entry holds it, too.
void Keyspace::adopt(FarValue* received) {
  std::erase(received_, received);
  received_bytes_ -= received->bytes_held();
  received->hold();
}

FarValue* Keyspace::make_far(size_t bytes) {
  FarValue* spare = spares_.take(bytes);
  return spare != nullptr ? spare : FarValue::make(bytes);
}

void Keyspace::release_far(FarValue* value) {
  tables_->forget_far(value);
  spares_.give(value);
}

}  // namespace tidemark::cacheserver
