// Doubly linked lists of items whose links live in the items' heads: word0 points to the newer neighbour, word1 to the
// older one. An item is taken out without saying which list it is in:
//
//     list 5:   oldest ─ 40 ─ 17 ─ 93 ─ newest      93: word0 = 5 (the list's number), word1 = 17
//                                                   40: word0 = 17, word1 = 5
//
// At an end the link holds the list's number, which cannot be mistaken for a neighbour: an item is the newest of list
// n if, and only if, the table of ends says so.
// Threads: one worker's own. I/O: none.
#pragma once

#include <cstddef>
#include <vector>

#include "cacheserver/eviction/item.h"

namespace tidemark::cacheserver {

class ItemLists {
 public:
  ItemLists(ItemMemory memory, uint32_t lists) : memory_(memory), ends_(lists) {}

  ItemId newest(uint32_t list) const { return ends_[list].newest; }
  ItemId oldest(uint32_t list) const { return ends_[list].oldest; }
  bool is_empty(uint32_t list) const { return ends_[list].newest == kNoItem; }

  void push_newest(uint32_t list, ItemId id) {
    ItemHead& head = memory_.at(id);
    Ends& ends = ends_[list];
    head.word0 = list;
    head.word1 = ends.newest == kNoItem ? list : ends.newest;
    (ends.newest == kNoItem ? ends.oldest : memory_.at(ends.newest).word0) = id;
    ends.newest = id;
  }

  // Returns the number of the list if that is now empty, else kNowhere.
  uint32_t remove(ItemId id) {
    const ItemHead head = memory_.at(id);
    const bool is_newest = is_newest_of(head.word0, id);
    const bool is_oldest = is_oldest_of(head.word1, id);
    if (is_newest && is_oldest) {
      ends_[head.word0] = {};
      return head.word0;
    }
    if (is_newest) {
      ends_[head.word0].newest = head.word1;
      memory_.at(head.word1).word0 = head.word0;
    } else if (is_oldest) {
      ends_[head.word1].oldest = head.word0;
      memory_.at(head.word0).word1 = head.word1;
    } else {
      memory_.at(head.word0).word1 = head.word1;
      memory_.at(head.word1).word0 = head.word0;
    }
    return kNowhere;
  }

  // `to` takes the place of `from`, and the policy's part of its head.
  void replace(ItemId from, ItemId to) {
    ItemHead& head = memory_.at(to);
    head.take_policy_part(memory_.at(from));
    const bool is_newest = is_newest_of(head.word0, from);
    const bool is_oldest = is_oldest_of(head.word1, from);
    (is_newest ? ends_[head.word0].newest : memory_.at(head.word0).word1) = to;
    (is_oldest ? ends_[head.word1].oldest : memory_.at(head.word1).word0) = to;
  }

  // What remove() is about to touch. The head itself must be in the cache already.
  void prefetch_neighbours(ItemId id) const {
    const ItemHead& head = memory_.at(id);
    memory_.prefetch(head.word0);
    memory_.prefetch(head.word1);
  }

  void clear() { ends_.assign(ends_.size(), {}); }
  void rebase(ItemMemory memory) { memory_ = memory; }  // the same items at another place
  ItemMemory memory() const { return memory_; }
  size_t bytes_used() const { return ends_.capacity() * sizeof(Ends); }

  static constexpr uint32_t kNowhere = UINT32_MAX;

 private:
  struct Ends {
    ItemId newest = kNoItem, oldest = kNoItem;
  };
  bool is_newest_of(uint32_t list, ItemId id) const { return list < ends_.size() && ends_[list].newest == id; }
  bool is_oldest_of(uint32_t list, ItemId id) const { return list < ends_.size() && ends_[list].oldest == id; }

  ItemMemory memory_;
  std::vector<Ends> ends_;
};

}  // namespace tidemark::cacheserver
