#include "cacheserver/entry/value_pin.h"

#include "cacheserver/entry/far_value.h"

namespace tidemark::cacheserver {

static_assert(kPinnedBytesMin == kFarValueBytes, "what lies in pages of its own neither moves nor changes while held");

ValuePin pin_value(const Entry& entry) {
  if (!entry.is_far()) return {};
  FarValue* value = entry.far_value();
  value->hold();
  return {entry.value(), value, [](void* owner) { static_cast<FarValue*>(owner)->drop(); }};
}

}  // namespace tidemark::cacheserver
