#include "client/strategy/freshness_replies.h"

#include <gtest/gtest.h>

namespace tidemark::client {
namespace {

Result<GetlReply> read(std::string_view bytes) {
  ReplyParser parser;
  parser.feed(bytes);
  return parse_getl(**parser.next());
}

TEST(Getl, AsksWithItsLimitOfStaleness) {
  EXPECT_EQ(make_getl("k", 250), make_request({"GETL", "k", "MAXSTALE", "250"}));
  EXPECT_EQ(make_getl("k", std::nullopt), make_request({"GETL", "k"}));
}

TEST(Getl, ReadsEveryAnswer) {
  auto hit = std::get<GetlHit>(*read("*4\r\n$3\r\nHIT\r\n$1\r\nv\r\n:12\r\n$4\r\n0/10\r\n"));
  EXPECT_EQ(hit.value, "v");
  EXPECT_EQ(hit.bound_ms, 12);
  EXPECT_EQ(std::get<GetlHit>(*read("*4\r\n$3\r\nHIT\r\n$1\r\nv\r\n$2\r\n-1\r\n$4\r\n0/10\r\n")).bound_ms, -1)
      << "numbers may come as text";
  EXPECT_EQ(std::get<GetlAbsent>(*read("*3\r\n$6\r\nABSENT\r\n:3\r\n$4\r\n0/10\r\n")).bound_ms, 3);
  auto miss = std::get<GetlMiss>(*read("*4\r\n$4\r\nMISS\r\n$2\r\nl1\r\n$4\r\n0/20\r\n:1\r\n"));
  EXPECT_EQ(miss.lease, "l1");
  EXPECT_EQ(miss.need, Lsn{0x20});
  EXPECT_TRUE(miss.is_visible_soon);
  EXPECT_EQ(std::get<GetlBusy>(*read("*2\r\n$4\r\nBUSY\r\n:7\r\n")).retry_ms, 7);
  EXPECT_EQ(std::get<GetlBypass>(*read("*3\r\n$6\r\nBYPASS\r\n$6\r\nBEHIND\r\n:9\r\n")).reason, "BEHIND");
}

TEST(Getl, CarriesWhatASessionNeeds) {
  EXPECT_EQ(make_getl("k", std::nullopt, GetlAfter{3, Lsn{0x500}}), make_request({"GETL", "k", "AFTER", "3", "0/500"}));
  EXPECT_EQ(make_getl("k", std::nullopt, {}, BucketOwner{2, 7}), make_request({"GETL", "k", "OWNER", "2", "7"}));
  EXPECT_EQ(make_getl("k", 250, GetlAfter{3, Lsn{0x500}}),
            make_request({"GETL", "k", "MAXSTALE", "250", "AFTER", "3", "0/500"}));
}

TEST(Getl, ReadsTheClaimsOfAHit) {
  auto hit = std::get<GetlHit>(*read("*6\r\n$3\r\nHIT\r\n$1\r\nv\r\n:12\r\n$4\r\n0/10\r\n$4\r\n0/18\r\n:3\r\n"));
  EXPECT_EQ(hit.claims.lo, Lsn{0x10});
  EXPECT_EQ(hit.claims.hi, Lsn{0x18});
  EXPECT_EQ(hit.claims.db_epoch, 3u);
  auto absent = std::get<GetlAbsent>(*read("*5\r\n$6\r\nABSENT\r\n:3\r\n$4\r\n0/10\r\n$4\r\n0/18\r\n$1\r\n4\r\n"));
  EXPECT_EQ(absent.claims.hi, Lsn{0x18});
  EXPECT_EQ(absent.claims.db_epoch, 4u);
}

TEST(Getl, ReadsHitsWithoutAnUpperBound) {
  auto unknown =
      std::get<GetlHit>(*read("*6\r\n$3\r\nHIT\r\n$1\r\nv\r\n:12\r\n$4\r\n0/10\r\n$17\r\nFFFFFFFF/FFFFFFFF\r\n:3\r\n"));
  EXPECT_FALSE(unknown.claims.hi);
  auto older_node = std::get<GetlHit>(*read("*4\r\n$3\r\nHIT\r\n$1\r\nv\r\n:12\r\n$4\r\n0/10\r\n"));
  EXPECT_FALSE(older_node.claims.hi);
  EXPECT_EQ(older_node.claims.db_epoch, 0u);
  EXPECT_EQ(older_node.claims.lo, Lsn{0x10});
}

TEST(Getl, ReadsMissesWithAndWithoutSettled) {
  EXPECT_EQ(std::get<GetlMiss>(*read("*5\r\n$4\r\nMISS\r\n$2\r\nl1\r\n$4\r\n0/20\r\n:0\r\n$4\r\n0/18\r\n")).settled,
            Lsn{0x18});
  EXPECT_TRUE(std::get<GetlMiss>(*read("*4\r\n$4\r\nMISS\r\n$2\r\nl1\r\n$4\r\n0/20\r\n:0\r\n")).settled.is_zero());
}

TEST(Tide, SaysWhatHasSettledOfAShard) {
  ReplyParser parser;
  parser.feed(
      "*2\r\n*6\r\n:0\r\n:3\r\n$4\r\n0/90\r\n$4\r\n0/80\r\n$4\r\n0/10\r\n:5\r\n"
      "*6\r\n:7\r\n:4\r\n$4\r\n0/91\r\n$4\r\n0/81\r\n$4\r\n0/11\r\n:5\r\n");
  const RespValue reply = **parser.next();
  EXPECT_EQ(make_tide(), make_request({"TIDE"}));
  EXPECT_EQ(parse_tide(reply, 7)->settled, Lsn{0x81});
  EXPECT_EQ(parse_tide(reply, 7)->db_epoch, 4u);
  EXPECT_FALSE(parse_tide(reply, 1));
  EXPECT_FALSE(parse_tide(RespValue{}, 0));
}

TEST(Getl, FieldsAddedAtTheEndAreIgnored) {
  EXPECT_TRUE(read("*6\r\n$4\r\nMISS\r\n$2\r\nl1\r\n$4\r\n0/20\r\n:0\r\n$3\r\n0/0\r\n$3\r\nnew\r\n"));
}

TEST(Getl, AnythingElseIsCorrupt) {
  for (std::string_view bytes :
       {"+OK\r\n", "*0\r\n", "*1\r\n$3\r\nHIT\r\n", "*3\r\n$3\r\nHIT\r\n$1\r\nv\r\n$1\r\nx\r\n",
        "*4\r\n$4\r\nMISS\r\n$0\r\n\r\n$4\r\n0/20\r\n:1\r\n", "*4\r\n$4\r\nMISS\r\n$1\r\nl\r\n$3\r\nxyz\r\n:1\r\n",
        "*5\r\n$4\r\nMISS\r\n$1\r\nl\r\n$4\r\n0/20\r\n:1\r\n$1\r\nx\r\n",
        "*6\r\n$3\r\nHIT\r\n$1\r\nv\r\n:1\r\n$4\r\n0/10\r\n$1\r\nx\r\n:1\r\n",
        "*6\r\n$3\r\nHIT\r\n$1\r\nv\r\n:1\r\n$4\r\n0/10\r\n$4\r\n0/18\r\n:-1\r\n", "*2\r\n$4\r\nWHAT\r\n:1\r\n"}) {
    auto reply = read(bytes);
    ASSERT_FALSE(reply) << bytes;
    EXPECT_EQ(reply.error().code, ErrorCode::kCorrupt);
  }
}

TEST(Setv, CarriesItsProof) {
  Fill fill;
  fill.key = "k";
  fill.lease = "l";
  fill.proof = *Proof::parse("R:0:7:3:0/900");
  fill.value = "v";
  fill.hi = Lsn{0x920};
  EXPECT_EQ(make_setv(fill), make_request({"SETV", "k", "l", "R:0:7:3:0/900", "v", "HI", "0/920"}));
  fill.hi.reset();
  EXPECT_EQ(make_setv(fill), make_request({"SETV", "k", "l", "R:0:7:3:0/900", "v"}));
  fill.proof = *Proof::parse("S:0:7:3:10:12:10:0/900");
  fill.hi = Lsn{0x900};
  EXPECT_EQ(make_setv(fill), make_request({"SETV", "k", "l", "S:0:7:3:10:12:10:0/900", "v"}))
      << "hi stands in the proof";
  fill.is_absent = true;
  EXPECT_EQ(make_setv(fill), make_request({"SETV", "k", "l", "S:0:7:3:10:12:10:0/900", "", "NEG"}));
}

TEST(Setv, TellsVerdictsApart) {
  auto verdict_of = [](RespValue::Kind kind, std::string text) {
    RespValue reply;
    reply.kind = kind;
    reply.text = std::move(text);
    return to_string(parse_setv(reply));
  };
  using Kind = RespValue::Kind;
  EXPECT_EQ(verdict_of(Kind::kSimple, "OK"), "ok");
  EXPECT_EQ(verdict_of(Kind::kSimple, "KEPT"), "kept");
  EXPECT_EQ(verdict_of(Kind::kError, "REJECT LEASE gone"), "lease");
  EXPECT_EQ(verdict_of(Kind::kError, "REJECT EPOCH 1 2"), "epoch");
  EXPECT_EQ(verdict_of(Kind::kError, "REJECT OLDER 0/10"), "older");
  EXPECT_EQ(verdict_of(Kind::kError, "REJECT FLOOR 0/10"), "floor");
  EXPECT_EQ(verdict_of(Kind::kError, "ERR no"), "error");
}

TEST(Inval, NamesTheCommitAndItsKeys) {
  const std::vector<std::string_view> keys{"a", "b"};
  EXPECT_EQ(make_inval(1, 7, Lsn{0x950}, 55, keys), make_request({"INVAL", "1", "7", "0/950", "55", "a", "b"}));
}

}  // namespace
}  // namespace tidemark::client
