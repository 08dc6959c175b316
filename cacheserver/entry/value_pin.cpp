#include "cacheserver/entry/value_pin.h"

#include <cstring>
#include <new>

namespace tidemark::cacheserver {

ValuePin pin_value(const Entry& entry) {
  const std::string_view value = entry.value();
  if (value.size() < kPinnedBytesMin) return {};
  char* copy = new (std::nothrow) char[value.size()];
  if (copy == nullptr) return {};
  std::memcpy(copy, value.data(), value.size());
  return {{copy, value.size()}, copy, [](void* owner) { delete[] static_cast<char*>(owner); }};
}

}  // namespace tidemark::cacheserver
