// Memory straight from the system: one reserved range of addresses that is used chunk by chunk, and single big blocks.
//
// Reserving costs no memory. A committed chunk costs what is touched of it; a released one costs nothing and reads as
// zeros when it is committed again. Threads: one at a time. I/O: none. Errors: std::bad_alloc.
#pragma once

#include <cstddef>

namespace tidemark::cacheserver {

class PageRange {
 public:
  static constexpr size_t kHugeBytes = size_t{2} << 20;  // a huge page of x86-64 and of aarch64 with 4 KiB pages

  PageRange(size_t bytes, size_t chunk_bytes);  // chunks are whole pages
  ~PageRange();
  PageRange(const PageRange&) = delete;
  PageRange& operator=(const PageRange&) = delete;

  char* base() const { return base_; }
  size_t bytes() const { return bytes_; }
  void commit(size_t chunk);
  void release(size_t chunk);
  // Asks for one huge page in place of the 512 small ones of a chunk that is full: it saves most of the TLB misses of
  // random reads. The system does so in its own time and thread (khugepaged). Doing it here and now would stand still
  // for 0.6 ms, on a virtual machine whose memory is not there yet for 5 ms; and a huge page from the start would cost
  // 2 MiB at once. Where the system knows no such request everything works without.
  void make_huge(size_t chunk);

 private:
  char* mapped_ = nullptr;
  size_t mapped_bytes_;
  char* base_ = nullptr;
  size_t bytes_;
  size_t chunk_bytes_;
};

// Whole pages for one big value. nullptr: the system refused.
void* map_pages(size_t bytes);
void unmap_pages(void* pages, size_t bytes);
size_t page_rounded(size_t bytes);

}  // namespace tidemark::cacheserver
