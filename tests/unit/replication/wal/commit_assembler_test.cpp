#include "replication/wal/commit_assembler.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "replication/wal/pgoutput_decoder.h"
#include "replication/wal/widen_xid.h"
#include "tests/unit/replication/wal/recorded_wal.h"

namespace tidemark::replication {
namespace {

constexpr Xid kReference = 0x5'00000400;

Family product() {
  return {.name = "product", .pattern = "product:{<sku>}", .table = "shop.product", .key_columns = {"sku"}};
}
Family orders() {
  return {.name = "orders",
          .pattern = "orders:{<bucket>}:<customer_id>",
          .table = "shop.orders",
          .key_columns = {"bucket", "customer_id"}};
}

class CommitAssemblerTest : public ::testing::Test {
 protected:
  void use(const std::vector<Family>& families) {
    auto keymap = Keymap::build(families);
    ASSERT_TRUE(keymap.has_value()) << keymap.error().to_string();
    keymap_.emplace(std::move(*keymap));
    assembler_.emplace(*keymap_);
  }
  // Everything recorded from the start up to this scene, for relations are described once.
  std::vector<Commit> run_through(std::string_view scene) {
    std::vector<Commit> of_scene;
    for (const RecordedMessage& recorded : recorded_messages()) {
      auto message = decode_pgoutput(recorded.bytes);
      auto commit = assembler_->on_message(*message, kReference);
      EXPECT_TRUE(commit.has_value()) << commit.error().to_string();
      if (commit && *commit && recorded.scene == scene) of_scene.push_back(**commit);
      if (recorded.scene == scene && commit && *commit) break;
    }
    return of_scene;
  }
  static std::vector<std::string> keys_of(const Commit& commit) {
    std::vector<std::string> keys;
    for (const auto& key : commit.keys) {
      EXPECT_EQ(key.slot, slot_of_key(key.key));
      keys.push_back(key.key);
    }
    return keys;
  }

  std::optional<Keymap> keymap_;
  std::optional<CommitAssembler> assembler_;
};

TEST_F(CommitAssemblerTest, GivesTheKeyOfAnInsertedRowWithItsWidenedXid) {
  use({product()});
  auto commits = run_through("insert");
  ASSERT_EQ(commits.size(), 1u);
  EXPECT_EQ(keys_of(commits[0]), std::vector<std::string>{"product:{bread}"});
  EXPECT_EQ(commits[0].xid, 0x5'000002daull);
  EXPECT_EQ(commits[0].end_lsn, Lsn{0x15536b0});
}

TEST_F(CommitAssemblerTest, GivesOldAndNewKeyOfARenamedRow) {
  use({product()});
  EXPECT_EQ(keys_of(run_through("update_new_key").at(0)),
            (std::vector<std::string>{"product:{bread}", "product:{bun}"}));
}

TEST_F(CommitAssemblerTest, GivesTheKeyOfADeletedRow) {
  use({product()});
  EXPECT_EQ(keys_of(run_through("delete").at(0)), std::vector<std::string>{"product:{bun}"});
}

TEST_F(CommitAssemblerTest, DerivesKeysFromColumnsOfTheReplicaIdentityIndex) {
  use({orders()});
  auto pattern = KeyPattern::parse("orders:{<bucket>}:<customer_id>");
  std::vector<std::string_view> five{"77", "5"}, six{"77", "6"};
  std::vector<std::string> expected{*pattern->render(five), *pattern->render(six)};
  std::ranges::sort(expected);
  EXPECT_EQ(keys_of(run_through("orders").at(0)), expected);
}

TEST_F(CommitAssemblerTest, TruncateOfAFamilysTableInvalidatesAll) {
  use({product()});
  auto commit = run_through("truncate").at(0);
  EXPECT_TRUE(commit.invalidates_all);
  EXPECT_TRUE(commit.keys.empty());
}

TEST_F(CommitAssemblerTest, TruncateOfOtherTablesInvalidatesNothing) {
  use({{.name = "other", .pattern = "other:{<a>}", .table = "shop.elsewhere", .key_columns = {"a"}}});
  EXPECT_FALSE(run_through("truncate").at(0).invalidates_all);
}

TEST_F(CommitAssemblerTest, AddsTheKeysOfATransactionalMessage) {
  use({product()});
  EXPECT_EQ(keys_of(run_through("message_tx").at(0)), (std::vector<std::string>{"product:{a}", "product:{b}"}));
}

// One transaction of synthetic messages over shop.product(sku, v).
class StageMessages : public ::testing::Test {
 protected:
  StageMessages() : keymap_(*Keymap::build({product()})), assembler_(keymap_) {}

  void begin() {
    say(BeginMessage{Lsn{0x1F0}, 0, 0x400});
    say(RelationMessage{.id = 1,
                        .schema = "shop",
                        .name = "product",
                        .identity = 'd',
                        .columns = {{true, "sku", 25}, {false, "v", 23}}});
  }
  void change(std::string_view sku) {
    using Kind = TupleColumn::Kind;
    say(UpdateMessage{.relation = 1, .before = {}, .after = {{Kind::kText, sku}, {Kind::kText, "1"}}});
  }
  void origin(std::string_view name) { say(OriginMessage{.lsn = {}, .name = name}); }
  void message(std::string_view prefix, std::string_view content) {
    say(LogicalMessage{true, Lsn{0x180}, prefix, content});
  }
  void stage(std::string_view content) { message("cache.stage", content); }
  std::vector<InvalidatedKey> commit() {
    auto done = assembler_.on_message(CommitMessage{Lsn{0x1F0}, Lsn{0x200}, 0}, kReference);
    EXPECT_TRUE(done.has_value() && done->has_value());
    is_whole_shard_ = (*done)->invalidates_all;
    moved_ = (*done)->moved;
    return (*done)->keys;
  }
  static InvalidatedKey key(std::string name, std::optional<uint64_t> stage = std::nullopt) {
    Slot slot = slot_of_key(name);
    return {std::move(name), slot, stage};
  }
  using Keys = std::vector<InvalidatedKey>;

  bool is_whole_shard_ = false;
  std::vector<MovedBucket> moved_;

 private:
  void say(const WalMessage& message) { ASSERT_TRUE(assembler_.on_message(message, kReference).has_value()); }

  Keymap keymap_;
  CommitAssembler assembler_;
};

TEST_F(StageMessages, NameTheStageOfAKeyWhoseLastEventTheyAre) {
  begin();
  change("a");
  stage("product:{a}\n18446744073709551615");
  change("b");
  EXPECT_EQ(commit(), (Keys{key("product:{a}", UINT64_MAX), key("product:{b}")}));
}

TEST_F(StageMessages, OfMovedBucketsKeepTheGreatestEpochOfEach) {
  begin();
  message("shard.moved", "9 3\n7 5\n");
  message("shard.moved", "7 6\n4095 4294967295");
  EXPECT_TRUE(commit().empty());
  EXPECT_EQ(moved_, (std::vector<MovedBucket>{{7, 6}, {9, 3}, {4095, 4294967295u}}));
  EXPECT_FALSE(is_whole_shard_);
}

TEST_F(StageMessages, OfMovedBucketsSpeakAlsoInACommitOfAMove) {
  begin();
  origin("mv_t_1");
  change("a");
  message("shard.moved", "7 6");
  EXPECT_TRUE(commit().empty()) << "its rows are copies";
  EXPECT_EQ(moved_, (std::vector<MovedBucket>{{7, 6}}));
}

TEST_F(StageMessages, OfEventlessDdlInvalidateAllWhateverElseTheCommitHolds) {
  begin();
  change("a");
  message("cache.ddl", "ALTER TABLE shop.product");
  message("shard.moved", "7 6");
  stage("product:{a}\n7");
  EXPECT_TRUE(commit().empty());
  EXPECT_TRUE(is_whole_shard_);
  EXPECT_TRUE(moved_.empty());
}

TEST_F(StageMessages, OfMovedBucketsThatAreNotUnderstoodInvalidateAll) {
  for (const char* content : {"7", "7 ", "4096 1", "7 4294967296", "a 1", "7 1 2", "-1 4"}) {
    begin();
    message("shard.moved", content);
    commit();
    EXPECT_TRUE(is_whole_shard_) << content;
    EXPECT_TRUE(moved_.empty());
  }
}

TEST_F(StageMessages, AreCancelledByALaterChangeOfTheRow) {
  begin();
  change("a");
  stage("product:{a}\n7");
  change("a");
  EXPECT_EQ(commit(), (Keys{key("product:{a}")}));
}

TEST_F(StageMessages, AreCancelledByALaterExplicitInvalidation) {
  begin();
  change("a");
  stage("product:{a}\n7");
  message("cache.inval", "product:{a}");
  EXPECT_EQ(commit(), (Keys{key("product:{a}")}));
}

TEST_F(StageMessages, AreReplacedByALaterOne) {
  begin();
  change("a");
  stage("product:{a}\n7");
  change("a");
  stage("product:{a}\n8");
  EXPECT_EQ(commit(), (Keys{key("product:{a}", 8)}));
}

TEST_F(StageMessages, ThatCannotBeReadInvalidateAndNothingMore) {
  for (std::string_view content : {"product:{a}", "product:{a}\n", "product:{a}\n-1", "product:{a}\n07",
                                   "product:{a}\n18446744073709551616", "product:{a}\n7 "}) {
    begin();
    stage("product:{a}\n7");
    stage(content);
    EXPECT_EQ(commit(), (Keys{key("product:{a}")})) << content;
  }
  begin();
  stage("");
  stage("\n7");
  EXPECT_EQ(commit(), Keys{});
}

TEST_F(StageMessages, MayNameAKeyThatHoldsANewline) {
  begin();
  stage("product:{a\nb}\n7");
  EXPECT_EQ(commit(), (Keys{key("product:{a\nb}", 7)}));
}

TEST_F(StageMessages, KeepTheirPlaceAmongManyEventsOfOneTransaction) {
  begin();
  for (int i = 0; i < 20'000; ++i) {
    change("a");
    stage("product:{a}\n" + std::to_string(i));
    change("b");
    stage("product:{b}\n" + std::to_string(i));
  }
  change("b");
  EXPECT_EQ(commit(), (Keys{key("product:{a}", 19'999), key("product:{b}")}));
}

TEST_F(StageMessages, OfMoreBytesThanACommitMayHaveInvalidateAll) {
  begin();
  std::string longest(CommitAssembler::kKeyBytesMax - 5, 'x');
  for (int i = 10000; i < 10300; ++i) stage(std::to_string(i) + longest + "\n7");
  EXPECT_EQ(commit(), Keys{});
  EXPECT_TRUE(is_whole_shard_);
}

// The recorded origin is "mv_1".
TEST_F(CommitAssemblerTest, ACommitOfABucketMoveHasNoKeys) {
  use({product()});
  EXPECT_EQ(run_through("origin").at(0).keys.size(), 0u);
  EXPECT_FALSE(run_through("origin").at(0).invalidates_all);
}

TEST_F(CommitAssemblerTest, RefusesAFamilyWhoseColumnIsNotInTheReplicaIdentity) {
  use({{.name = "by_v", .pattern = "by_v:{<v>}", .table = "shop.product", .key_columns = {"v"}}});
  auto commit = run_through("insert").at(0);
  EXPECT_TRUE(commit.invalidates_all) << "slow and right, instead of stale";
  auto refusals = assembler_->take_refusals();
  ASSERT_FALSE(refusals.empty());
  EXPECT_NE(refusals[0].find("family by_v: column v of shop.product is not part of the replica identity"),
            std::string::npos)
      << refusals[0];
}

TEST_F(CommitAssemblerTest, RefusesKeyColumnsOfTypesWithoutOneSpelling) {
  use({{.name = "typed", .pattern = "typed:{<id>}:<m>", .table = "shop.typed", .key_columns = {"id", "m"}}});
  run_through("typed");
  std::string text;
  for (const std::string& refusal : assembler_->take_refusals()) text += refusal + "\n";
  EXPECT_NE(text.find("column m"), std::string::npos) << text;
}

TEST_F(CommitAssemblerTest, ANullKeyColumnHasNoKey) {
  use({{.name = "full", .pattern = "full:{<a>}:<b>", .table = "shop.fullrow", .key_columns = {"a", "b"}}});
  auto commit = run_through("full").at(0);
  EXPECT_FALSE(commit.invalidates_all);
  EXPECT_TRUE(commit.keys.empty());
}

TEST_F(CommitAssemblerTest, AChangeOfAnUndescribedRelationIsCorrupt) {
  use({product()});
  Commit commit;
  ASSERT_TRUE(assembler_->on_message(BeginMessage{}, kReference).has_value());
  auto result = assembler_->on_message(InsertMessage{.relation = 7, .after = {}}, kReference);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
}

TEST_F(CommitAssemblerTest, MessagesOutOfPlaceAreCorrupt) {
  use({product()});
  EXPECT_FALSE(assembler_->on_message(CommitMessage{}, kReference).has_value());
  EXPECT_FALSE(assembler_->on_message(OriginMessage{}, kReference).has_value());
  EXPECT_TRUE(assembler_->on_message(BeginMessage{}, kReference).has_value());
  EXPECT_FALSE(assembler_->on_message(BeginMessage{}, kReference).has_value());
}

RelationMessage product_relation() {
  return {
      .id = 1, .schema = "shop", .name = "product", .identity = 'd', .columns = {{true, "sku", 25}, {false, "v", 23}}};
}
Tuple row(std::string_view sku) {
  return {{TupleColumn::Kind::kText, sku}, {TupleColumn::Kind::kText, "1"}};
}

TEST_F(CommitAssemblerTest, InvalidatesCommitsOfAnyOtherOriginAndThoseAfterAMove) {
  use({product()});
  ASSERT_TRUE(assembler_->on_message(BeginMessage{}, kReference));
  ASSERT_TRUE(assembler_->on_message(product_relation(), kReference));
  ASSERT_TRUE(assembler_->on_message(CommitMessage{}, kReference));
  for (const auto& [origin, keys] : {std::pair{"mv_1", 0u}, {"saga", 1u}, {"mv_2", 0u}, {"", 1u}}) {
    ASSERT_TRUE(assembler_->on_message(BeginMessage{}, kReference));
    if (*origin != 0) {
      ASSERT_TRUE(assembler_->on_message(OriginMessage{.lsn = {}, .name = origin}, kReference));
    }
    ASSERT_TRUE(assembler_->on_message(InsertMessage{.relation = 1, .after = row("x")}, kReference));
    const auto commit = assembler_->on_message(CommitMessage{}, kReference);
    ASSERT_TRUE(commit && *commit);
    EXPECT_EQ((*commit)->keys.size(), keys) << origin;
  }
}

TEST_F(CommitAssemblerTest, ATupleOfTheWrongWidthIsCorrupt) {
  use({product()});
  (void)assembler_->on_message(BeginMessage{}, kReference);
  (void)assembler_->on_message(product_relation(), kReference);
  EXPECT_FALSE(assembler_->on_message(InsertMessage{1, {{TupleColumn::Kind::kText, "x"}}}, kReference).has_value());
}

TEST_F(CommitAssemblerTest, AnUnchangedKeyColumnWithoutItsOldValueInvalidatesAll) {
  use({product()});
  (void)assembler_->on_message(BeginMessage{}, kReference);
  (void)assembler_->on_message(product_relation(), kReference);
  Tuple unchanged = row("x");
  unchanged[0] = {TupleColumn::Kind::kUnchanged, ""};
  (void)assembler_->on_message(UpdateMessage{1, false, {}, unchanged}, kReference);
  EXPECT_TRUE((*assembler_->on_message(CommitMessage{}, kReference))->invalidates_all);
}

TEST_F(CommitAssemblerTest, AnUnchangedKeyColumnTakesItsOldValue) {
  use({product()});
  (void)assembler_->on_message(BeginMessage{}, kReference);
  (void)assembler_->on_message(product_relation(), kReference);
  Tuple unchanged = row("x");
  unchanged[0] = {TupleColumn::Kind::kUnchanged, ""};
  (void)assembler_->on_message(UpdateMessage{1, true, row("old"), unchanged}, kReference);
  EXPECT_EQ(keys_of(**assembler_->on_message(CommitMessage{}, kReference)), std::vector<std::string>{"product:{old}"});
}

TEST_F(CommitAssemblerTest, RepeatedKeysOfOneTransactionCountOnce) {
  use({product()});
  (void)assembler_->on_message(BeginMessage{}, kReference);
  (void)assembler_->on_message(product_relation(), kReference);
  for (int i = 0; i < 20'000; ++i) (void)assembler_->on_message(InsertMessage{1, row(i % 2 ? "a" : "b")}, kReference);
  EXPECT_EQ(keys_of(**assembler_->on_message(CommitMessage{}, kReference)),
            (std::vector<std::string>{"product:{a}", "product:{b}"}));
}

TEST_F(CommitAssemblerTest, ATransactionOfTooManyKeysInvalidatesAll) {
  use({product()});
  (void)assembler_->on_message(BeginMessage{}, kReference);
  (void)assembler_->on_message(product_relation(), kReference);
  for (size_t i = 0; i <= CommitAssembler::kCommitKeysMax; ++i) {
    (void)assembler_->on_message(InsertMessage{1, row(std::to_string(i))}, kReference);
  }
  EXPECT_TRUE((*assembler_->on_message(CommitMessage{}, kReference))->invalidates_all);
}

// A batch that no worker accepts would hold up everything behind it for ever.
TEST_F(CommitAssemblerTest, AKeyTooLongForABatchInvalidatesAll) {
  use({product()});
  (void)assembler_->on_message(BeginMessage{}, kReference);
  (void)assembler_->on_message(product_relation(), kReference);
  std::string longest(CommitAssembler::kKeyBytesMax, 'x');
  (void)assembler_->on_message(InsertMessage{1, row(longest)}, kReference);
  EXPECT_TRUE((*assembler_->on_message(CommitMessage{}, kReference))->invalidates_all);
}

TEST_F(CommitAssemblerTest, KeysOfTooManyBytesInAllInvalidateAll) {
  use({product()});
  (void)assembler_->on_message(BeginMessage{}, kReference);
  (void)assembler_->on_message(product_relation(), kReference);
  std::vector<std::string> keys;
  for (size_t i = 0; i <= CommitAssembler::kCommitKeyBytesMax / 60'000; ++i) {
    keys.push_back(std::to_string(i) + std::string(60'000, 'y'));
    (void)assembler_->on_message(InsertMessage{1, row(keys.back())}, kReference);
  }
  EXPECT_TRUE((*assembler_->on_message(CommitMessage{}, kReference))->invalidates_all);
}

TEST(Keymap, RefusesAFamilyWhoseColumnsDoNotMatchItsPattern) {
  EXPECT_FALSE(
      Keymap::build({{.name = "x", .pattern = "x:{<a>}", .table = "s.t", .key_columns = {"a", "b"}}}).has_value());
}

TEST(Keymap, FingerprintChangesWithWhatDecidesKeysAndNothingElse) {
  Family family = product();
  uint64_t before = Keymap::build({family})->fingerprint();
  family.ttl_ms = 1;
  EXPECT_EQ(Keymap::build({family})->fingerprint(), before);
  family.table = "shop.other";
  EXPECT_NE(Keymap::build({family})->fingerprint(), before);
}

TEST(WidenXid, IsTheLargestXidUpToTheNextWithTheseLowBits) {
  // Measured on PostgreSQL 15 across a wrap: the old transaction committed after the epoch had moved on.
  EXPECT_EQ(widen_xid(4294967288u, 0x5'00000008), 0x4'fffffff8ull);
  EXPECT_EQ(widen_xid(6u, 0x5'00000008), 0x5'00000006ull);
  EXPECT_EQ(widen_xid(731u, 731u), 731u);
}

TEST(WidenXid, StaysRightWhileTheReferenceLags) {
  EXPECT_EQ(widen_xid(731u, 725u), 731u) << "xmax of a snapshot does not count a commit that hangs (E16)";
  EXPECT_EQ(widen_xid(3u, 0x4'fffffffe), 0x5'00000003ull);
  EXPECT_EQ(widen_xid(0xfffffff0u, 5u), 0xfffffff0u) << "there is no epoch before the first";
}

}  // namespace
}  // namespace tidemark::replication
