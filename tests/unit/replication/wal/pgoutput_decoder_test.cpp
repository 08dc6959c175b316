#include "replication/wal/pgoutput_decoder.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/replication/wal/recorded_wal.h"

namespace tidemark::replication {
namespace {

std::vector<WalMessage> decode_scene(std::string_view scene) {
  std::vector<WalMessage> result;
  for (const RecordedMessage& recorded : recorded_messages()) {
    if (recorded.scene != scene) continue;
    auto message = decode_pgoutput(recorded.bytes);
    EXPECT_TRUE(message.has_value()) << scene << ": " << message.error().to_string();
    if (message) result.push_back(*message);
  }
  return result;
}

TEST(PgoutputDecoder, ReadsAnInsertWithItsRelationAndCommit) {
  auto messages = decode_scene("insert");
  ASSERT_EQ(messages.size(), 4u);
  auto begin = std::get<BeginMessage>(messages[0]);
  EXPECT_EQ(begin.xid_low, 0x2dau);
  EXPECT_EQ(begin.commit_lsn, Lsn{0x1553680});
  auto relation = std::get<RelationMessage>(messages[1]);
  EXPECT_EQ(relation.schema, "shop");
  EXPECT_EQ(relation.name, "product");
  EXPECT_EQ(relation.identity, 'd');
  ASSERT_EQ(relation.columns.size(), 3u);
  EXPECT_EQ(relation.columns[0].name, "sku");
  EXPECT_TRUE(relation.columns[0].is_identity);
  EXPECT_EQ(relation.columns[0].type, 25u);
  EXPECT_FALSE(relation.columns[1].is_identity);
  auto insert = std::get<InsertMessage>(messages[2]);
  ASSERT_EQ(insert.after.size(), 3u);
  EXPECT_EQ(insert.after[0].text, "bread");
  EXPECT_EQ(insert.after[2].text.size(), 5000u);
  auto commit = std::get<CommitMessage>(messages[3]);
  EXPECT_EQ(commit.commit_lsn, begin.commit_lsn);
  EXPECT_EQ(commit.end_lsn, Lsn{0x15536b0});
  EXPECT_EQ(commit.commit_us, begin.commit_us);
  EXPECT_GT(commit.commit_us, 1'700'000'000'000'000) << "Unix time, not Postgres's";
}

TEST(PgoutputDecoder, TellsUnchangedToastFromNull) {
  auto update = std::get<UpdateMessage>(decode_scene("update_same_key").at(1));
  EXPECT_FALSE(update.has_before);
  EXPECT_EQ(update.after[2].kind, TupleColumn::Kind::kUnchanged);
  auto full = std::get<InsertMessage>(decode_scene("full").at(2));
  EXPECT_EQ(full.after[1].kind, TupleColumn::Kind::kNull);
}

TEST(PgoutputDecoder, ReadsTheOldKeyOfAnUpdateThatChangedIt) {
  auto update = std::get<UpdateMessage>(decode_scene("update_new_key").at(1));
  ASSERT_TRUE(update.has_before);
  EXPECT_EQ(update.before[0].text, "bread");
  EXPECT_EQ(update.after[0].text, "bun");
}

TEST(PgoutputDecoder, ReadsDeleteTruncateTypeOriginAndMessages) {
  EXPECT_EQ(std::get<DeleteMessage>(decode_scene("delete").at(1)).before[0].text, "bun");
  EXPECT_EQ(std::get<TruncateMessage>(decode_scene("truncate").at(3)).relations,
            (std::vector<RelationId>{0x4001, 0x4008}));
  EXPECT_EQ(std::get<TypeMessage>(decode_scene("typed").at(1)).name, "mood");
  EXPECT_EQ(std::get<OriginMessage>(decode_scene("origin").at(1)).name, "mv_1");
  auto inside = std::get<LogicalMessage>(decode_scene("message_tx").at(1));
  EXPECT_TRUE(inside.is_transactional);
  EXPECT_EQ(inside.prefix, "cache.inval");
  EXPECT_EQ(inside.content, "product:{a}\nproduct:{b}");
  auto outside = std::get<LogicalMessage>(decode_scene("message_nontx").at(0));
  EXPECT_FALSE(outside.is_transactional);
  EXPECT_EQ(outside.prefix, "tidemark.tick");
}

TEST(PgoutputDecoder, RefusesEveryPrefixOfEveryRecordedMessage) {
  for (const RecordedMessage& recorded : recorded_messages()) {
    for (size_t size = 0; size < recorded.bytes.size(); ++size) {
      // A copy of exactly this size, so that a sanitizer sees a read beyond it.
      std::string prefix = recorded.bytes.substr(0, size);
      auto message = decode_pgoutput(prefix);
      ASSERT_FALSE(message.has_value()) << recorded.scene << " cut at " << size;
      EXPECT_EQ(message.error().code, ErrorCode::kCorrupt);
    }
  }
}

TEST(PgoutputDecoder, RefusesBytesLeftOverAndUnknownKinds) {
  for (const RecordedMessage& recorded : recorded_messages()) {
    EXPECT_FALSE(decode_pgoutput(recorded.bytes + '\0').has_value()) << recorded.scene;
  }
  EXPECT_FALSE(decode_pgoutput("Zabc").has_value());
}

TEST(PgoutputDecoder, SurvivesEveryFlippedByte) {
  for (const RecordedMessage& recorded : recorded_messages()) {
    size_t limit = std::min<size_t>(recorded.bytes.size(), 300);
    for (size_t i = 0; i < limit; ++i) {
      for (int flip : {0x01, 0x80, 0xff}) {
        std::string bytes = recorded.bytes;
        bytes[i] = static_cast<char>(bytes[i] ^ flip);
        (void)decode_pgoutput(bytes);
      }
    }
  }
}

}  // namespace
}  // namespace tidemark::replication
