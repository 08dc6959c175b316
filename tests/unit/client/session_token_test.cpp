#include "client/session_token.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "base/base64url.h"

namespace tidemark::client {
namespace {

const TokenKey kKey = TokenKey::of_bytes(std::string(32, 'k')).value();
const TokenKey kOtherKey = TokenKey::of_bytes(std::string(31, 'k') + "x").value();
constexpr bool kOnPrimary = true;
constexpr bool kElsewhere = false;

Lsn lsn(uint64_t value) {
  return Lsn{value};
}

SessionToken example() {
  SessionToken token;
  token.absorb_read(7, 2, lsn(700), kElsewhere);
  token.absorb_write(1, 3, lsn(500));
  token.absorb_read(1, 3, lsn(400), kElsewhere);
  return token;
}

TEST(SessionToken, KeepsWhatWasWrittenApartFromWhatWasRead) {
  SessionToken token;
  token.absorb_write(1, 3, lsn(500));
  token.absorb_read(1, 3, lsn(900), kElsewhere);
  token.absorb_read(1, 3, lsn(600), kOnPrimary);
  token.absorb_read(1, 3, lsn(100), kElsewhere);
  auto position = token.find(1);
  ASSERT_TRUE(position);
  EXPECT_EQ(position->own, lsn(600));
  EXPECT_EQ(position->read, lsn(900));
  EXPECT_EQ(position->needed(), lsn(900));
  EXPECT_TRUE(position->is_written);
  EXPECT_FALSE(token.find(2));
}

TEST(SessionToken, NeverComparesPositionsOfTwoEpochs) {
  SessionToken token;
  token.absorb_write(1, 3, lsn(5000));
  token.absorb_read(1, 4, lsn(10), kElsewhere);
  EXPECT_EQ(token.find(1)->db_epoch, 4u);
  EXPECT_EQ(token.find(1)->needed(), lsn(10));
  EXPECT_TRUE(token.find(1)->own.is_zero());
  EXPECT_FALSE(token.find(1)->is_written);
  token.absorb_write(1, 3, lsn(9000));  // an answer of the old primary that came late
  EXPECT_EQ(token.find(1)->db_epoch, 4u);
  EXPECT_EQ(token.find(1)->needed(), lsn(10));
}

TEST(SessionToken, OfFourShardsForgetsTheOldestThatWasOnlyRead) {
  SessionToken token;
  token.absorb_write(1, 1, lsn(10));
  token.absorb_read(2, 1, lsn(20), kElsewhere);
  token.absorb_read(3, 1, lsn(30), kOnPrimary);
  token.absorb_read(4, 1, lsn(40), kElsewhere);
  EXPECT_TRUE(token.find(1)) << "the only one that was written, though the oldest";
  EXPECT_FALSE(token.find(2));
  EXPECT_TRUE(token.find(3));
  EXPECT_TRUE(token.find(4));
  EXPECT_FALSE(token.has_forgotten_writes());
  EXPECT_EQ(token.drops().read, 1u);
  EXPECT_EQ(token.drops().written, 0u);
}

TEST(SessionToken, ThatForgetsAWriteSaysSoEverAfter) {
  SessionToken token;
  for (ShardId shard = 1; shard <= 4; ++shard) token.absorb_write(shard, 1, lsn(10u * shard));
  EXPECT_FALSE(token.find(1));
  EXPECT_TRUE(token.has_forgotten_writes());
  EXPECT_EQ(token.drops().written, 1u);
  SessionToken merged;
  merged.absorb(SessionToken::from_text(token.to_text(kKey), kKey).value());
  EXPECT_TRUE(merged.has_forgotten_writes());
}

TEST(SessionToken, AShardThatIsOnlyReadCannotPushOutOneThatWasWritten) {
  SessionToken token;
  for (ShardId shard = 1; shard <= 3; ++shard) token.absorb_write(shard, 1, lsn(10));
  token.absorb_read(9, 1, lsn(10), kElsewhere);
  EXPECT_FALSE(token.find(9));
  EXPECT_FALSE(token.has_forgotten_writes());
  EXPECT_EQ(token.drops().read, 1u);
}

TEST(SessionToken, MergesByTheGreaterPositionAndTheNewerEpoch) {
  SessionToken one, two;
  one.absorb_write(1, 1, lsn(10));
  one.absorb_read(2, 5, lsn(70), kElsewhere);
  two.absorb_read(1, 1, lsn(20), kElsewhere);
  two.absorb_write(2, 4, lsn(900));
  one.absorb(two);
  EXPECT_EQ(one.find(1)->own, lsn(10));
  EXPECT_EQ(one.find(1)->read, lsn(20));
  EXPECT_EQ(one.find(2)->db_epoch, 5u);
  EXPECT_EQ(one.find(2)->needed(), lsn(70));
  const SessionToken before = one;
  one.absorb(one);
  EXPECT_EQ(one, before);
}

TEST(SessionToken, TakesWhatThePrimaryHasProvenForReadThere) {
  SessionToken token = example();
  token.absorb_proven(1, 3, lsn(399));
  EXPECT_EQ(token.find(1)->read, lsn(400)) << "more was read meanwhile";
  token.absorb_proven(1, 2, lsn(900));
  EXPECT_EQ(token.find(1)->read, lsn(400)) << "another epoch proves nothing";
  token.absorb_proven(1, 3, lsn(400));
  EXPECT_TRUE(token.find(1)->read.is_zero());
  EXPECT_EQ(token.find(1)->own, lsn(500));
  EXPECT_TRUE(token.find(1)->is_written);
  token.absorb_proven(7, 2, lsn(700));
  EXPECT_EQ(token.find(7)->own, lsn(700));
  EXPECT_FALSE(token.find(7)->is_written);
}

TEST(SessionToken, ComesBackFromItsText) {
  const SessionToken token = example();
  const std::string text = token.to_text(kKey);
  auto back = SessionToken::from_text(text, kKey);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(*back, token);
  EXPECT_EQ(back->to_text(kKey), text);
  EXPECT_EQ(text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), text.npos);
}

TEST(SessionToken, OfNothingIsNoText) {
  EXPECT_EQ(SessionToken().to_text(kKey), "");
  EXPECT_TRUE(SessionToken::from_text("", kKey)->is_empty());
}

TEST(SessionToken, AfterOneWriteIsShort) {
  SessionToken token;
  token.absorb_write(1, 3, lsn(0x16B374D848));
  EXPECT_LE(token.to_text(kKey).size(), 27u);
}

TEST(SessionToken, NeverHasMoreThan64BytesAndFoldingOnlyDemandsMore) {
  SessionToken token;
  for (ShardId shard : {65533, 65534, 65535}) {
    token.absorb_write(shard, UINT32_MAX, lsn(UINT64_MAX - 1));
    token.absorb_read(shard, UINT32_MAX, lsn(UINT64_MAX), kElsewhere);
  }
  const std::string text = token.to_text(kKey);
  EXPECT_EQ(text.size(), SessionToken::kTextBytesMax);
  auto back = SessionToken::from_text(text, kKey);
  ASSERT_TRUE(back) << back.error().to_string();
  for (ShardId shard : {65533, 65534, 65535}) {
    EXPECT_EQ(back->find(shard)->needed(), lsn(UINT64_MAX));
    EXPECT_EQ(back->find(shard)->read, lsn(UINT64_MAX)) << "the primary must prove what was folded";
    EXPECT_TRUE(back->find(shard)->is_written);
  }
}

TEST(SessionToken, OfUsualPositionsIsNotFolded) {
  SessionToken token;
  for (ShardId shard : {100, 101, 102}) {
    token.absorb_write(shard, 100, lsn((uint64_t{1} << 49) - 1));
    token.absorb_read(shard, 100, lsn((uint64_t{1} << 49) - 2), kElsewhere);
  }
  EXPECT_EQ(SessionToken::from_text(token.to_text(kKey), kKey).value(), token);
}

TEST(SessionToken, RefusesWhatAnotherKeySealed) {
  auto back = SessionToken::from_text(example().to_text(kOtherKey), kKey);
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(back.error().message.find("seal"), std::string::npos) << back.error().message;
}

TEST(SessionToken, RefusesEveryChangedByte) {
  const std::string bytes = decode_base64url(example().to_text(kKey)).value();
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      EXPECT_FALSE(SessionToken::from_text(encode_base64url(changed), kKey)) << "byte " << i << " bit " << bit;
    }
  }
}

TEST(SessionToken, RefusesEveryPrefix) {
  const std::string text = example().to_text(kKey);
  for (size_t size = 1; size < text.size(); ++size)
    EXPECT_FALSE(SessionToken::from_text(text.substr(0, size), kKey)) << size;
}

TEST(SessionToken, RefusesWhatIsTooLong) {
  EXPECT_FALSE(SessionToken::from_text(std::string(SessionToken::kTextBytesMax + 1, 'A'), kKey));
  EXPECT_FALSE(SessionToken::from_text(std::string(1 << 20, 'A'), kKey));
}

TEST(SessionToken, RefusesAnotherVersionByName) {
  auto token = SessionToken::decode(std::string("\x02\x00", 2));
  ASSERT_FALSE(token);
  EXPECT_NE(token.error().message.find("version 2"), std::string::npos) << token.error().message;
}

TEST(SessionToken, RefusesBodiesThatNoVersionWrites) {
  using namespace std::string_literals;
  for (const std::string& body : {
           ""s, "\x01"s,
           "\x01\x40"s,                                                  // kinds: unknown bits
           "\x01\x04\x01\x01\x05"s,                                      // a second shard without a first
           "\x21\x00"s,                                                  // a shard that is written and not there
           "\x01\x01\x01\x01"s,                                          // no position
           "\x01\x01\x01\x01\x00"s,                                      // position zero
           "\x01\x01\x01\x01\x05\x05"s,                                  // bytes left over
           "\x01\x05\x01\x01\x05\x01\x01\x05"s,                          // a shard twice
           "\x01\x01\x81\x00\x01\x05"s,                                  // a number longer than needed
           "\x01\x01\xff\xff\x7f\x01\x05"s,                              // shard beyond 65535
           "\x01\x01\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"s,  // 65 bits
       }) {
    EXPECT_FALSE(SessionToken::decode(body)) << encode_base64url(body);
  }
}

TEST(SessionToken, WhateverDecodesEncodesToTheSameBytes) {
  std::minstd_rand random(1);
  int decoded = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string bytes;
    bytes += static_cast<char>(random() % 2 == 0 ? 0x01 : random());
    bytes += static_cast<char>(random() % 64);
    for (auto left = random() % 14; left > 0; --left)
      bytes += static_cast<char>(random() % 4 == 0 ? random() : random() % 6);
    auto token = SessionToken::decode(bytes);
    if (!token) continue;
    ++decoded;
    EXPECT_EQ(token->encode(), bytes);
  }
  EXPECT_GT(decoded, 1000);
}

TEST(TokenKey, NeedsThirtyTwoBytes) {
  EXPECT_FALSE(TokenKey::of_bytes(std::string(31, 'k')));
  EXPECT_TRUE(TokenKey::of_bytes(std::string(32, 'k')));
  EXPECT_NE(TokenKey::random().bytes(), TokenKey::random().bytes());
  EXPECT_GE(TokenKey::random().bytes().size(), TokenKey::kBytesMin);
}

TEST(Session, TakesPositionsFromManyThreads) {
  Session session;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&session, thread] {
      for (uint64_t i = 1; i <= 1000; ++i)
        session.absorb_read(1, 1, lsn(4 * i + static_cast<uint64_t>(thread)), kElsewhere);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(session.token().find(1)->read, lsn(4003));
}

TEST(Session, RefusesABadToken) {
  EXPECT_FALSE(Session::from_text("nonsense", kKey));
  auto session = Session::from_text(example().to_text(kKey), kKey);
  ASSERT_TRUE(session);
  EXPECT_EQ((*session)->token(), example());
}

}  // namespace
}  // namespace tidemark::client
