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

TEST(InvalidationBatch, NamesStagedKeysAtItsEnd) {
  Commit c = commit(0x20, {"product:{a}", "product:{b}"});
  c.keys[1].stage = 18446744073709551615ull;
  std::vector<const Commit*> commits{&c};
  auto parts = encode_invalb({.address = {3, 7, 2}, .prev_lsn = {0x10}, .last_lsn = {0x30}}, commits, all_slots());
  auto request = parse(parts.at(0));
  std::vector<std::string_view> end(request.arguments.end() - 5, request.arguments.end());
  EXPECT_EQ(end, (std::vector<std::string_view>{"STAGED", "1", "1032", "product:{b}", "18446744073709551615"}));
  auto batch = decode_invalb(request.arguments);
  ASSERT_TRUE(batch.has_value()) << batch.error().to_string();
  EXPECT_EQ(batch->staged, (std::vector<InvalidationBatch::Staged>{{1032, "product:{b}", 18446744073709551615ull}}));
  // A cut is only whole where the transactions end.
  for (size_t count = 0; count < request.arguments.size(); ++count) {
    std::span<const std::string_view> cut(request.arguments.data(), count);
    EXPECT_EQ(decode_invalb(cut).has_value(), count == request.arguments.size() - 5) << count;
  }
  request.arguments[request.arguments.size() - 2] = "product:{c}";
  EXPECT_FALSE(decode_invalb(request.arguments).has_value()) << "a key that is not of this message";
}

TEST(InvalidationBatch, AStageStaysInThePartThatCarriesItsKeyAndOnlyForTheWorkersSlots) {
  std::vector<std::string> keys;
  for (int i = 0; i < 10'000; ++i) keys.push_back("k" + std::to_string(i));
  Commit c = commit(0x20, keys);
  for (size_t i = 0; i < c.keys.size(); i += 3) c.keys[i].stage = i;
  SlotSet slots;
  size_t wanted_keys = 0, wanted_stages = 0;
  for (Slot slot = 0; slot < kSlotCount; slot += 2) slots.set(slot);
  for (const auto& key : c.keys) {
    wanted_keys += slots.test(key.slot) ? 1 : 0;
    wanted_stages += slots.test(key.slot) && key.stage ? 1 : 0;
  }
  std::vector<const Commit*> commits{&c};
  auto parts = encode_invalb({.prev_lsn = {1}, .last_lsn = {0x20}}, commits, slots);
  expect_whole(parts, wanted_keys);
  size_t stages = 0;
  for (const std::string& part : parts) {
    auto request = parse(part);
    stages += decode_invalb(request.arguments)->staged.size();
  }
  EXPECT_GE(parts.size(), 2u);
  EXPECT_EQ(stages, wanted_stages);
}

TEST(InvalidationBatch, SplitsByBytesAlsoWhenEveryKeyIsStaged) {
  std::vector<std::string> keys;
  for (int i = 0; i < 200; ++i) keys.push_back(std::string(65'000, 'k') + std::to_string(i));
  Commit c = commit(0x20, keys);
  for (auto& key : c.keys) key.stage = UINT64_MAX;
  std::vector<const Commit*> commits{&c};
  expect_whole(encode_invalb({.prev_lsn = {1}, .last_lsn = {0x20}}, commits, all_slots()), 200);
}

TEST(InvalidationBatch, NamesMovedBucketsBehindTheStagesAlsoWhereNoKeyIsTheWorkers) {
  Commit with_stage = commit(0x20, {"product:{a}"});
  with_stage.keys[0].stage = 9;
  Commit fence = commit(0x28, {});
  fence.moved = {{0, 5}, {4095, 4294967295u}};
  std::vector<const Commit*> commits{&with_stage, &fence};
  auto parts = encode_invalb({.address = {3, 7, 2}, .prev_lsn = {0x10}, .last_lsn = {0x30}}, commits, all_slots());
  ASSERT_EQ(parts.size(), 1u);
  auto request = parse(parts[0]);
  std::vector<std::string_view> end(request.arguments.end() - 8, request.arguments.end());
  EXPECT_EQ(end, (std::vector<std::string_view>{"MOVED", "2", "0/28", "0", "5", "0/28", "4095", "4294967295"}));
  auto batch = decode_invalb(request.arguments);
  ASSERT_TRUE(batch.has_value()) << batch.error().to_string();
  EXPECT_EQ(batch->moved, (std::vector<InvalidationBatch::Moved>{{{0x28}, {0, 5}}, {{0x28}, {4095, 4294967295u}}}));
  EXPECT_EQ(batch->staged.size(), 1u);
  for (auto [at, wrong] : {std::pair{1, "4294967296"}, {2, "4096"}, {3, "0/31"}, {7, "3"}, {8, "MOVEN"}}) {
    auto bad = request.arguments;
    bad[bad.size() - static_cast<size_t>(at)] = wrong;
    EXPECT_FALSE(decode_invalb(bad).has_value()) << wrong;
  }
  const SlotSet nothing;
  const std::vector<const Commit*> only_fence{&fence};
  auto bare = encode_invalb({.prev_lsn = {0x10}, .last_lsn = {0x30}}, only_fence, nothing);
  EXPECT_EQ(decode_invalb(parse(bare.at(0)).arguments)->moved.size(), 2u);
}

TEST(InvalidationBatch, SplitsWhatMovedOverParts) {
  std::vector<Commit> moves;
  for (uint64_t i = 0; i < 3; ++i) {
    Commit& c = moves.emplace_back(commit(0x20 + i, {"k" + std::to_string(i)}));
    for (uint32_t bucket = 0; bucket < kBucketCount; ++bucket) c.moved.push_back({static_cast<Bucket>(bucket), 7});
  }
  std::vector<const Commit*> commits{&moves[0], &moves[1], &moves[2]};
  auto parts = encode_invalb({.prev_lsn = {1}, .last_lsn = {0x30}}, commits, all_slots());
  expect_whole(parts, 3);
  size_t moved = 0;
  for (const std::string& part : parts) {
    auto request = parse(part);
    moved += decode_invalb(request.arguments)->moved.size();
  }
  EXPECT_EQ(moved, 3u * kBucketCount);
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

TEST(JournalRecord, KeepsStages) {
  JournalRecord record{.prev_lsn = {1}, .lsn = {0x40}, .commits = {commit(0x20, {"a", "b", "c"}), commit(0x40, {"a"})}};
  record.commits[0].keys[1].stage = 0;
  record.commits[0].keys[2].stage = UINT64_MAX;
  std::string bytes = encode_journal_record(record);
  auto read = decode_journal_record(bytes);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(*read, record);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_journal_record(bytes.substr(0, size)).has_value()) << size;
  }
}

TEST(JournalRecord, KeepsWhatMoved) {
  JournalRecord record{.prev_lsn = {1}, .lsn = {0x40}, .commits = {commit(0x20, {"a"}), commit(0x40, {})}};
  record.commits[1].moved = {{0, 1}, {4095, 4294967295u}};
  std::string bytes = encode_journal_record(record);
  auto read = decode_journal_record(bytes);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(*read, record);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_journal_record(bytes.substr(0, size)).has_value()) << size;
  }
  bytes[bytes.size() - 6] = 0x10;  // bucket 4096 + 255
  EXPECT_FALSE(decode_journal_record(bytes).has_value());
}

TEST(JournalRecord, ReadsVersionTwoWhichKnewNoMoves) {
  const JournalRecord record{.prev_lsn = {1}, .lsn = {0x40}, .commits = {commit(0x20, {"a"})}};
  std::string bytes = encode_journal_record(record);
  bytes[0] = 2;
  bytes.resize(bytes.size() - 4);
  auto read = decode_journal_record(bytes);
  ASSERT_TRUE(read.has_value()) << read.error().to_string();
  EXPECT_EQ(*read, record);
}

TEST(JournalRecord, RefusesAStageOfAKeyThatIsNotThere) {
  JournalRecord record{.prev_lsn = {1}, .lsn = {0x40}, .commits = {commit(0x20, {"a"})}};
  record.commits[0].keys[0].stage = 7;
  std::string bytes = encode_journal_record(record);
  bytes[bytes.size() - 13] = 1;  // the key's index
  EXPECT_FALSE(decode_journal_record(bytes).has_value());
}

TEST(JournalRecord, ReadsVersionOneWhichKnewNoStages) {
  const std::string bytes(
      "\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x40\0\0\0\x01"
      "\0\0\0\0\0\0\x04\x08\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\0\x4d\0\0\0\0\x01\0\0\0\x01"
      "a",
      21 + 29 + 5);
  auto read = decode_journal_record(bytes);
  ASSERT_TRUE(read.has_value()) << read.error().to_string();
  EXPECT_EQ(*read, (JournalRecord{.prev_lsn = {1}, .lsn = {0x40}, .commits = {commit(0x20, {"a"})}}));
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
