#include "cacheserver/memory/pages.h"

#include <sys/mman.h>

#include <new>

namespace tidemark::cacheserver {
namespace {

constexpr size_t kPageBytes = 4096;

}  // namespace

PageRange::PageRange(size_t bytes, size_t chunk_bytes)
    : mapped_bytes_(bytes + kHugeBytes), bytes_(bytes), chunk_bytes_(chunk_bytes) {
  void* range = ::mmap(nullptr, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) throw std::bad_alloc();
  mapped_ = static_cast<char*>(range);
  const auto address = reinterpret_cast<size_t>(mapped_);
  base_ = mapped_ + (kHugeBytes - address % kHugeBytes) % kHugeBytes;
}

PageRange::~PageRange() {
  ::munmap(mapped_, mapped_bytes_);
}

void PageRange::commit(size_t chunk) {
  if (::mprotect(base_ + chunk * chunk_bytes_, chunk_bytes_, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
}

void PageRange::release(size_t chunk) {
  char* begin = base_ + chunk * chunk_bytes_;
  ::madvise(begin, chunk_bytes_, MADV_DONTNEED);
  if (chunk_bytes_ == kHugeBytes) ::madvise(begin, chunk_bytes_, MADV_NOHUGEPAGE);
}

void PageRange::make_huge(size_t chunk) {
  if (chunk_bytes_ == kHugeBytes) ::madvise(base_ + chunk * chunk_bytes_, chunk_bytes_, MADV_HUGEPAGE);
}

size_t page_rounded(size_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

void* map_pages(size_t bytes) {
  void* pages = ::mmap(nullptr, page_rounded(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? nullptr : pages;
}

void unmap_pages(void* pages, size_t bytes) {
  ::munmap(pages, page_rounded(bytes));
}

}  // namespace tidemark::cacheserver
