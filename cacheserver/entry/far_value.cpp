#include "cacheserver/entry/far_value.h"

#include <new>

#include "cacheserver/memory/pages.h"

namespace tidemark::cacheserver {

FarValue* FarValue::make(size_t capacity) {
  const size_t bytes = page_rounded(sizeof(FarValue) + capacity);
  void* pages = map_pages(bytes);
  return pages == nullptr ? nullptr : new (pages) FarValue(bytes);
}

void FarValue::drop() {
  if (--references_ == 0) unmap_pages(this, mapped_bytes_);
}

// A value begins a page, so the bytes before `data` lie in the same page and can be read whoever's they are.
const FarValue* FarValue::maybe_of(const char* data) {
  constexpr size_t kPageBytes = 4096;
  const auto address = reinterpret_cast<uintptr_t>(data);
  return address % kPageBytes == sizeof(FarValue) ? reinterpret_cast<const FarValue*>(data) - 1 : nullptr;
}

}  // namespace tidemark::cacheserver
