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

}  // namespace tidemark::cacheserver
