#include "replication/wal/invalidation_batch.h"

#include <gtest/gtest.h>

#include "base/wire/resp_value.h"

namespace tidemark::replication {
namespace {

Commit commit(uint64_t lsn, std::vector<std::string> keys) {
  Commit result{.xid = lsn + 1000, .end_lsn = {lsn}, .commit_us = 77, .invalidates_all = false, .keys = {}};
  for (auto& key : keys) result.keys.push_back({key, slot_of_key(key)});
  return result;
}
SlotSet all_slots() {
  return SlotSet().set();
}

// The arguments of an encoded request, which must outlive them.
struct Request {
  RespValue value;
  std::vector<std::string_view> arguments;
};
Request parse(const std::string& encoded) {
  ReplyParser parser;
  parser.feed(encoded);
  auto value = parser.next();
  EXPECT_TRUE(value.has_value() && value->has_value());
  EXPECT_EQ(parser.buffered_bytes(), 0u);
  Request request{**value, {}};
  for (size_t i = 1; i < request.value.elements.size(); ++i)
    request.arguments.push_back(request.value.elements[i].text);
  return request;
}

TEST(InvalidationBatch, IsWrittenByteByByteAsTheProtocolSays) {
  Commit c = commit(0x20, {"product:{a}"});
  std::vector<const Commit*> commits{&c};
  auto parts = encode_invalb({.address = {3, 7, 2}, .prev_lsn = {0x10}, .last_lsn = {0x30}}, commits, all_slots());
  ASSERT_EQ(parts.size(), 1u);
  auto request = parse(parts[0]);
  std::vector<std::string_view> expected{"3", "7",    "2",    "0/10", "0/30", "0",          "0",
                                         "1", "1032", "0/20", "77",   "1",    "product:{a}"};
  EXPECT_EQ(request.arguments, expected);
}

TEST(InvalidationBatch, HoldsOnlyKeysOfTheWorkersSlots) {
  Commit c = commit(0x20, {"a", "b"});
  SlotSet slots;
  slots.set(slot_of_key("b"));
  std::vector<const Commit*> commits{&c};
  auto parts = encode_invalb({.prev_lsn = {1}, .last_lsn = {0x20}}, commits, slots);
  auto batch = decode_invalb(parse(parts[0]).arguments);
  ASSERT_TRUE(batch.has_value());
  EXPECT_EQ(batch->transactions.at(0).keys.size(), 1u);
}

// All parts together must hold exactly the keys given, each part within the limits, and only the last may advance.
void expect_whole(const std::vector<std::string>& parts, size_t keys_expected) {
  size_t keys = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    EXPECT_LE(parts[i].size(), kBatchBytesMax + 1024);
    auto request = parse(parts[i]);
    auto batch = decode_invalb(request.arguments);
    ASSERT_TRUE(batch.has_value()) << batch.error().to_string();
    EXPECT_EQ(batch->part, i);
    EXPECT_EQ(batch->has_more, i + 1 < parts.size());
    for (const auto& transaction : batch->transactions) keys += transaction.keys.size();
  }
  EXPECT_EQ(keys, keys_expected);
}

TEST(InvalidationBatch, SplitsATransactionOfManyKeys) {
  std::vector<std::string> keys;
  for (int i = 0; i < 10'000; ++i) keys.push_back("k" + std::to_string(i));
  Commit c = commit(0x20, keys);
  std::vector<const Commit*> commits{&c};
  auto parts = encode_invalb({.prev_lsn = {1}, .last_lsn = {0x20}}, commits, all_slots());
  EXPECT_GE(parts.size(), 3u);
  expect_whole(parts, 10'000);
}

TEST(InvalidationBatch, SplitsManyTransactions) {
  std::vector<Commit> many;
  for (uint64_t i = 1; i <= 3000; ++i) many.push_back(commit(i, {"k" + std::to_string(i)}));
  std::vector<const Commit*> commits;
  for (auto& c : many) commits.push_back(&c);
  auto parts = encode_invalb({.prev_lsn = {0}, .last_lsn = {3000}}, commits, all_slots());
  EXPECT_EQ(parts.size(), 3u);
  expect_whole(parts, 3000);
}

TEST(InvalidationBatch, SplitsByBytes) {
  std::vector<std::string> keys;
  for (int i = 0; i < 40; ++i) keys.push_back(std::string(300'000, 'k') + std::to_string(i));
  Commit c = commit(0x20, keys);
  std::vector<const Commit*> commits{&c};
  expect_whole(encode_invalb({.prev_lsn = {1}, .last_lsn = {0x20}}, commits, all_slots()), 40);
}

TEST(InvalidationBatch, TheMutedPlantMovesThePositionWithoutKeys) {
  Commit c = commit(0x20, {"a"});
  std::vector<const Commit*> commits{&c};
  auto parts = encode_invalb({.prev_lsn = {1}, .last_lsn = {0x20}, .without_keys = true}, commits, all_slots());
  auto batch = decode_invalb(parse(parts.at(0)).arguments);
  ASSERT_TRUE(batch.has_value());
  EXPECT_TRUE(batch->transactions.empty());
  EXPECT_EQ(batch->last_lsn, Lsn{0x20});
}

TEST(InvalidationBatch, DecoderRefusesEveryMissingArgumentAndExtraOnes) {
  Commit c = commit(0x20, {"a", "b"});
  std::vector<const Commit*> commits{&c};
  auto parts = encode_invalb({.prev_lsn = {1}, .last_lsn = {0x20}}, commits, all_slots());
  auto request = parse(parts[0]);
  for (size_t count = 0; count < request.arguments.size(); ++count) {
    std::span<const std::string_view> cut(request.arguments.data(), count);
    EXPECT_FALSE(decode_invalb(cut).has_value()) << count;
  }
  request.arguments.push_back("extra");
  EXPECT_FALSE(decode_invalb(request.arguments).has_value());
}

TEST(InvalidationBatch, FenceCarriesSnapshotAndEcho) {
  PgSnapshot snapshot = *PgSnapshot::parse("10:12:10");
  auto request = parse(encode_fence(
      {.address = {0, 1, 2}, .prev_lsn = {5}, .lsn = {9}, .settled = {8}, .snapshot = &snapshot, .echo = 123}));
  std::vector<std::string_view> expected{"0", "1", "2", "0/5", "0/9", "0/8", "10:12:10", "123"};
  EXPECT_EQ(request.arguments, expected);
  auto bare = parse(encode_fence({.address = {0, 1, 2}, .prev_lsn = {5}, .lsn = {9}, .settled = {}}));
  EXPECT_EQ(bare.arguments[6], "-");
}

TEST(JournalRecord, ReadsBackWhatWasWritten) {
  JournalRecord record{.prev_lsn = {1}, .lsn = {0x40}, .commits = {commit(0x20, {"a", "b"}), commit(0x40, {})}};
  record.commits[1].invalidates_all = true;
  auto read = decode_journal_record(encode_journal_record(record));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(*read, record);
}

TEST(JournalRecord, RefusesEveryPrefixAndOtherVersions) {
  JournalRecord record{.prev_lsn = {1}, .lsn = {0x40}, .commits = {commit(0x20, {"abc"})}};
  std::string bytes = encode_journal_record(record);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_journal_record(bytes.substr(0, size)).has_value()) << size;
  }
  bytes[0] = 9;
  EXPECT_FALSE(decode_journal_record(bytes).has_value());
}

}  // namespace
}  // namespace tidemark::replication
