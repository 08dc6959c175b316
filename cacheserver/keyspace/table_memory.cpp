#include <cstdlib>
#include <cstring>
#include <new>

#include "cacheserver/keyspace/hash_table.h"

namespace tidemark::cacheserver {
namespace {

// calloc leaves big blocks untouched, so a table of millions of groups costs its pages as they fill, not at once. It
// knows no alignment: the block is a group larger, and its address stands in front of the first group.
TableGroup* allocate(size_t count) {
  char* block = static_cast<char*>(std::calloc(count + 1, sizeof(TableGroup)));
  if (block == nullptr) throw std::bad_alloc();
  auto address = reinterpret_cast<uintptr_t>(block);
  char* first = block + (sizeof(TableGroup) - address % sizeof(TableGroup));
  std::memcpy(first - sizeof block, &block, sizeof block);
  return reinterpret_cast<TableGroup*>(first);
}

void release(TableGroup* groups) {
  char* block;
  std::memcpy(&block, reinterpret_cast<char*>(groups) - sizeof block, sizeof block);
  std::free(block);
}

size_t bytes_of(size_t count) {
  return (count + 1) * sizeof(TableGroup);
}

}  // namespace

TableMemory::~TableMemory() {
  for (auto [slab, count] : slabs_) release(slab);
}

TableGroup* TableMemory::take_array(size_t count) {
  bytes_used_ += bytes_of(count);
  return allocate(count);
}

void TableMemory::give_array(TableGroup* array, size_t count) {
  bytes_used_ -= bytes_of(count);
  release(array);
}

TableGroup* TableMemory::take_group() {
  if (free_ == nullptr) {
    TableGroup* slab = take_array(kGroupsPerSlab);
    slabs_.emplace_back(slab, kGroupsPerSlab);
    for (size_t i = 0; i < kGroupsPerSlab; ++i) give_group(&slab[i]);
  }
  TableGroup* group = free_;
  std::memcpy(&free_, group->places, sizeof free_);
  std::memset(group, 0, sizeof *group);
  return group;
}

void TableMemory::give_group(TableGroup* group) {
  std::memcpy(group->places, &free_, sizeof free_);
  free_ = group;
}

}  // namespace tidemark::cacheserver
