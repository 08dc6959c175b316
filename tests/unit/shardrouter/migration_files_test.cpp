// The names say what may stand in which file of a migration.
#include "shardrouter/schema/migration_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shardrouter/schema/ddl_rules.h"

namespace tidemark::shardrouter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What is said against a file; empty: it may be run.
std::string fault(const std::string& phase, const std::string& sql) {
  std::vector<std::pair<std::string, std::string>> files{{"0001_a." + phase + ".sql", sql}};
  if (phase == "undo") files.emplace_back("0001_a.expand.sql", "CREATE TABLE x (a int)");
  const auto read = read_migrations(files);
  return read ? "" : read.error().message;
}

TEST(MigrationFiles, AreGroupedByIdAndOrderedByNumber) {
  const auto read = read_migrations({{"0010_b.expand.sql", "CREATE TABLE b (i int)"},
                                     {"0009_a.contract.sql", "DROP TABLE a"},
                                     {"0009_a.backfill.sql", "DELETE FROM a WHERE true"}});
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ(read->at(0).id, "0009_a");
  EXPECT_EQ(read->at(1).number, 10u);
  EXPECT_EQ(read->at(0).file(Phase::kExpand), nullptr);
  EXPECT_THAT(read->at(0).contract->dropped_tables, ElementsAre("a"));
  EXPECT_EQ(read->at(1).expand->checksum.size(), 40u);
}

TEST(MigrationFiles, RefuseNamesThatSayNoPhaseAndNumbersUsedTwice) {
  EXPECT_THAT(read_migrations({{"add.sql", "x"}}).error().message, HasSubstr("NUMBER_NAME.PHASE.sql"));
  EXPECT_THAT(read_migrations({{"0001_a.expnd.sql", "x"}}).error().message, HasSubstr("NUMBER_NAME.PHASE.sql"));
  EXPECT_THAT(read_migrations({{"0001_a.expand.sql", "CREATE TABLE a ()"}, {"1_b.expand.sql", "CREATE TABLE b ()"}})
                  .error()
                  .message,
              HasSubstr("1_b.expand.sql: its number is that of 0001_a"));
  EXPECT_THAT(read_migrations({{"0001_a.undo.sql", "DROP TABLE a"}}).error().message, HasSubstr("but no expand"));
  EXPECT_THAT(fault("expand", "-- nothing"), HasSubstr("holds no statement"));
}

TEST(MigrationFiles, ReadTheirDirectives) {
  const auto read = read_migrations({{"0001_a.expand.sql",
                                      "-- tidemark: adopt shop.coupon\n-- tidemark: reference shop.tax\nCREATE TABLE "
                                      "shop.coupon (bucket int)"}});
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_THAT(read->at(0).expand->adopted_tables, ElementsAre("shop.coupon"));
  EXPECT_THAT(read->at(0).expand->reference_tables, ElementsAre("shop.tax"));
  EXPECT_THAT(fault("expand", "-- tidemark: adpt x\nCREATE TABLE x ()"), HasSubstr("known are"));
  EXPECT_THAT(fault("contract", "-- tidemark: adopt x\nDROP TABLE x"), HasSubstr("in an expand"));
}

TEST(DdlRules, LetAnExpandAddWhatRunningCodeDoesNotNotice) {
  EXPECT_EQ(fault("expand",
                  "ALTER TABLE item ADD COLUMN price int, ADD COLUMN note text NOT NULL DEFAULT '', "
                  "ADD CONSTRAINT c CHECK (price > 0) NOT VALID;"
                  "CREATE TABLE shop.tag (bucket int NOT NULL, id bigint, PRIMARY KEY (bucket, id));"
                  "CREATE INDEX tag_id ON shop.tag (id); COMMENT ON TABLE item IS 'x'; GRANT SELECT ON item TO a;"),
            "");
  EXPECT_EQ(fault("expand", "CREATE INDEX CONCURRENTLY i ON item (a); CREATE UNIQUE INDEX CONCURRENTLY j ON item (b)"),
            "");
}

TEST(DdlRules, RefuseInAnExpandWhatBreaksRunningCode) {
  EXPECT_THAT(fault("expand", "ALTER TABLE item DROP COLUMN a"), HasSubstr("put it into the contract"));
  EXPECT_THAT(fault("expand", "DROP TABLE item"), HasSubstr("put it into the contract"));
  EXPECT_THAT(fault("expand", "ALTER TABLE item RENAME COLUMN a TO b"), HasSubstr("knows the old name"));
  EXPECT_THAT(fault("expand", "ALTER TABLE item RENAME TO thing"), HasSubstr("knows the old name"));
  EXPECT_THAT(fault("expand", "ALTER TABLE item ADD COLUMN a int NOT NULL"), HasSubstr("add it nullable"));
  EXPECT_THAT(fault("expand", "ALTER TABLE item ALTER a SET NOT NULL"), HasSubstr("NOT VALID"));
  EXPECT_THAT(fault("expand", "ALTER TABLE item ALTER a DROP DEFAULT"), HasSubstr("rely on it"));
}

TEST(DdlRules, RefuseInAnExpandWhatHoldsALockForLong) {
  EXPECT_THAT(fault("expand", "CREATE INDEX i ON item (a)"), HasSubstr("CONCURRENTLY"));
  EXPECT_THAT(fault("expand", "ALTER TABLE item ADD CONSTRAINT c CHECK (a > 0)"), HasSubstr("NOT VALID"));
  EXPECT_THAT(fault("expand", "ALTER TABLE item ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES b"),
              HasSubstr("NOT VALID"));
  EXPECT_THAT(fault("expand", "ALTER TABLE item ADD UNIQUE (a)"), HasSubstr("USING INDEX"));
  EXPECT_EQ(fault("expand", "ALTER TABLE item ADD CONSTRAINT u UNIQUE USING INDEX i"), "");
  EXPECT_THAT(fault("expand", "CREATE INDEX CONCURRENTLY i ON item (a); COMMENT ON TABLE item IS ''"),
              HasSubstr("a migration of its own"));
  EXPECT_THAT(fault("expand", "CREATE INDEX CONCURRENTLY ON item (a)"), HasSubstr("name it"));
}

TEST(DdlRules, RefuseInEveryPhaseWhatChangesRowsWithoutAnEvent) {
  for (const std::string phase : {"expand", "contract", "undo"}) {
    EXPECT_THAT(fault(phase, "TRUNCATE item"), HasSubstr("no row event")) << phase;
    EXPECT_THAT(fault(phase, "ALTER TABLE item ALTER COLUMN a TYPE bigint USING a * 100"), HasSubstr("new column"))
        << phase;
    EXPECT_THAT(fault(phase, "ALTER TABLE item ATTACH PARTITION p DEFAULT"), HasSubstr("without an event")) << phase;
    EXPECT_THAT(fault(phase, "ALTER TABLE item DETACH PARTITION p"), HasSubstr("without an event")) << phase;
    EXPECT_THAT(fault(phase, "ALTER TABLE item SET UNLOGGED"), HasSubstr("stream")) << phase;
    EXPECT_THAT(fault(phase, "ALTER PUBLICATION tidemark DROP TABLE item"), HasSubstr("without an event")) << phase;
    EXPECT_THAT(fault(phase, "ALTER TABLE item DISABLE TRIGGER ALL"), HasSubstr("stay on")) << phase;
    EXPECT_THAT(fault(phase, "UPDATE item SET a = 1"), HasSubstr("backfill")) << phase;
    EXPECT_THAT(fault(phase, "DO $$ BEGIN DELETE FROM item; END $$"), HasSubstr("can be judged")) << phase;
    EXPECT_THAT(fault(phase, "WITH x AS (DELETE FROM item RETURNING 1) SELECT 1"), HasSubstr("can be judged")) << phase;
    EXPECT_THAT(fault(phase, "COMMIT"), HasSubstr("one transaction")) << phase;
    EXPECT_THAT(fault(phase, "CREATE TABLE p (a int) PARTITION BY HASH (a)"), HasSubstr("partitioned")) << phase;
    EXPECT_THAT(fault(phase, "ALTER TABLE item ADD COLUMN g int GENERATED ALWAYS AS (a * 2) STORED"),
                HasSubstr("in no event"))
        << phase;
  }
  EXPECT_THAT(fault("contract", "DROP SCHEMA shop CASCADE"), HasSubstr("no event"));
}

TEST(DdlRules, RefuseAFunctionBodyThatCannotBeSplit) {
  EXPECT_THAT(fault("expand", "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END"), HasSubstr("as a string"));
  EXPECT_EQ(fault("expand", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$"), "");
}

TEST(DdlRules, FindTheFaultInAnyActionOfAnAlterTable) {
  EXPECT_THAT(fault("expand", "ALTER TABLE IF EXISTS ONLY item ADD COLUMN a numeric(4, 2), DROP COLUMN b"),
              HasSubstr("put it into the contract"));
}

TEST(DdlRules, LetAnExpandFillOnlyTheReferenceTableThatItDeclares) {
  EXPECT_EQ(fault("expand",
                  "-- tidemark: reference shop.tax\nCREATE TABLE shop.tax (id int PRIMARY KEY);"
                  "INSERT INTO shop.tax VALUES (1)"),
            "");
  EXPECT_THAT(fault("expand", "-- tidemark: reference shop.tax\nINSERT INTO shop.item VALUES (1)"),
              HasSubstr("backfill"));
}

TEST(DdlRules, LetAContractTakeAway) {
  EXPECT_EQ(fault("contract",
                  "ALTER TABLE item DROP COLUMN a, ALTER b SET NOT NULL; ALTER TABLE item VALIDATE CONSTRAINT c; DROP "
                  "TABLE shop.old, older"),
            "");
  EXPECT_EQ(fault("contract", "DROP INDEX CONCURRENTLY IF EXISTS i"), "");
  EXPECT_THAT(fault("contract", "DROP INDEX CONCURRENTLY i"), HasSubstr("IF EXISTS"));
}

TEST(DdlRules, KnowTheIndexOfAConcurrentStatement) {
  const auto statements = split_statements("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY shop.item (a)");
  ASSERT_TRUE(statements);
  const ConcurrentIndex index = concurrent_index_of(statements->at(0));
  EXPECT_TRUE(index.is_created);
  EXPECT_EQ(index.name, "i");
  EXPECT_EQ(index.table, "shop.item");
}

TEST(MigrationFiles, ABackfillIsOneUpdateOrDeleteWithACondition) {
  EXPECT_EQ(fault("backfill", "UPDATE item SET a = b WHERE a IS NULL"), "");
  EXPECT_EQ(fault("backfill", "DELETE FROM item WHERE a IS NULL"), "");
  EXPECT_THAT(fault("backfill", "UPDATE item SET a = b"), HasSubstr("no WHERE"));
  EXPECT_THAT(fault("backfill", "UPDATE item SET a = (SELECT 1 WHERE true)"), HasSubstr("no WHERE"));
  EXPECT_THAT(fault("backfill", "UPDATE item i SET a = b WHERE a IS NULL"), HasSubstr("no alias"));
  EXPECT_THAT(fault("backfill", "UPDATE item SET a = c.b FROM c WHERE a IS NULL"), HasSubstr("use a subquery"));
  EXPECT_THAT(fault("backfill", "UPDATE item SET a = $1 WHERE a IS NULL"), HasSubstr("no value here"));
  EXPECT_THAT(fault("backfill", "UPDATE a SET b = 1 WHERE c; UPDATE b SET c = 1 WHERE d"), HasSubstr("2 statements"));
  EXPECT_THAT(fault("backfill", "INSERT INTO a SELECT 1"), HasSubstr("is \"UPDATE table"));
}

}  // namespace
}  // namespace tidemark::shardrouter
