#include "cacheserver/eviction/item_lists.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <random>
#include <vector>

namespace tidemark::cacheserver {
namespace {

constexpr unsigned kShift = 4;
struct alignas(16) Place {
  ItemHead head;
};
ItemMemory memory_over(std::vector<Place>& places) {
  return {reinterpret_cast<std::byte*>(places.data()), kShift};
}

// From the newest to the oldest, along word1, and checked along word0.
std::vector<ItemId> items_of(const ItemLists& lists, uint32_t list, size_t size) {
  std::vector<ItemId> items;
  for (ItemId id = lists.newest(list); items.size() < size; id = lists.memory().at(id).word1) items.push_back(id);
  std::vector<ItemId> backwards;
  for (ItemId id = lists.oldest(list); backwards.size() < size; id = lists.memory().at(id).word0)
    backwards.push_back(id);
  EXPECT_TRUE(std::equal(items.begin(), items.end(), backwards.rbegin(), backwards.rend()));
  return items;
}

TEST(ItemLists, KeepTheOrderOfArrival) {
  std::vector<Place> places(4);
  ItemLists lists(memory_over(places), 1);
  EXPECT_TRUE(lists.is_empty(0));
  for (ItemId id : {1u, 2u, 3u}) lists.push_newest(0, id);
  EXPECT_EQ(items_of(lists, 0, 3), (std::vector<ItemId>{3, 2, 1}));
  EXPECT_EQ(lists.oldest(0), 1u);
}

TEST(ItemLists, SayWhichListARemovalEmptied) {
  std::vector<Place> places(4);
  ItemLists lists(memory_over(places), 3);
  lists.push_newest(2, 1);
  lists.push_newest(2, 3);
  EXPECT_EQ(lists.remove(1), ItemLists::kNowhere);
  EXPECT_EQ(lists.remove(3), 2u);
  EXPECT_TRUE(lists.is_empty(2));
}

TEST(ItemLists, TellAListsNumberFromANeighbourOfTheSameNumber) {
  std::vector<Place> places(4);
  ItemLists lists(memory_over(places), 4);
  for (ItemId id : {1u, 2u, 3u}) lists.push_newest(2, id);  // item 2 and list 2
  lists.remove(1);
  EXPECT_EQ(items_of(lists, 2, 2), (std::vector<ItemId>{3, 2}));
  lists.push_newest(3, 1);
  lists.remove(3);
  EXPECT_EQ(items_of(lists, 2, 1), (std::vector<ItemId>{2}));
  EXPECT_EQ(items_of(lists, 3, 1), (std::vector<ItemId>{1}));
}

TEST(ItemLists, DoWhatPlainListsDo) {
  constexpr ItemId kItems = 60;
  constexpr uint32_t kLists = 40;  // numbers that are also items'
  std::mt19937 random(3);
  std::vector<Place> places(2 * kItems + 1);
  ItemLists lists(memory_over(places), kLists);
  std::vector<std::list<ItemId>> expected(kLists);
  std::vector<uint32_t> list_of(2 * kItems + 1, ItemLists::kNowhere);
  for (int i = 0; i < 50000; ++i) {
    const ItemId id = 1 + random() % (2 * kItems);
    const uint32_t list = random() % kLists;
    if (list_of[id] == ItemLists::kNowhere) {
      lists.push_newest(list, id);
      expected[list].push_front(id);
      list_of[id] = list;
    } else if (const ItemId to = 1 + random() % (2 * kItems); random() % 4 == 0 && list_of[to] == ItemLists::kNowhere) {
      places[to] = places[id];
      lists.replace(id, to);
      places[id].head.word0 = places[id].head.word1 = 0xffffffff;
      std::ranges::replace(expected[list_of[id]], id, to);
      list_of[to] = std::exchange(list_of[id], ItemLists::kNowhere);
    } else {
      auto& was_in = expected[list_of[id]];
      was_in.remove(id);
      EXPECT_EQ(lists.remove(id), was_in.empty() ? list_of[id] : ItemLists::kNowhere);
      list_of[id] = ItemLists::kNowhere;
    }
  }
  for (uint32_t list = 0; list < kLists; ++list) {
    EXPECT_EQ(lists.is_empty(list), expected[list].empty());
    EXPECT_EQ(items_of(lists, list, expected[list].size()),
              std::vector<ItemId>(expected[list].begin(), expected[list].end()));
  }
}

}  // namespace
}  // namespace tidemark::cacheserver
