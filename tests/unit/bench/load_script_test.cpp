#include "bench/macro/load_script.h"

#include <gtest/gtest.h>

#include <set>

namespace tidemark::bench {
namespace {

TEST(LoadScript, WritesRequestsOfBothProtocols) {
  const std::string key = LoadScript::key_text(7);
  ASSERT_EQ(key.size(), 16U);
  std::string resp;
  LoadScript(LoadProtocol::kResp, 3).append_set(7, resp);
  LoadScript(LoadProtocol::kResp, 3).append_get(7, resp);
  EXPECT_EQ(resp, "*3\r\n$3\r\nSET\r\n$16\r\n" + key + "\r\n$3\r\nxxx\r\n*2\r\n$3\r\nGET\r\n$16\r\n" + key + "\r\n");
  std::string text;
  LoadScript(LoadProtocol::kMemcached, 3).append_set(7, text);
  LoadScript(LoadProtocol::kMemcached, 3).append_get(7, text);
  EXPECT_EQ(text, "set " + key + " 0 0 3\r\nxxx\r\nget " + key + "\r\n");
}

TEST(LoadScript, WritesSizesExpiriesAndDeletes) {
  const std::string key = LoadScript::key_text(7);
  std::string resp;
  const LoadScript to_resp(LoadProtocol::kResp, 9);
  to_resp.append_set(7, 2, 0, resp);
  to_resp.append_set(7, 2, 12345, resp);
  to_resp.append_set(7, 9, 1, resp);
  to_resp.append_delete(7, resp);
  EXPECT_EQ(resp, "*3\r\n$3\r\nSET\r\n$16\r\n" + key + "\r\n$2\r\nxx\r\n*5\r\n$3\r\nSET\r\n$16\r\n" + key +
                      "\r\n$2\r\nxx\r\n$2\r\nPX\r\n$5\r\n12345\r\n*5\r\n$3\r\nSET\r\n$16\r\n" + key +
                      "\r\n$9\r\nxxxxxxxxx\r\n$2\r\nPX\r\n$1\r\n1\r\n*2\r\n$3\r\nDEL\r\n$16\r\n" + key + "\r\n");
  std::string text;
  const LoadScript to_memcached(LoadProtocol::kMemcached, 9);
  to_memcached.append_set(7, 2, 0, text);
  to_memcached.append_set(7, 2, 1001, text);
  to_memcached.append_delete(7, text);
  EXPECT_EQ(text, "set " + key + " 0 0 2\r\nxx\r\nset " + key + " 0 2 2\r\nxx\r\ndelete " + key + "\r\n");
}

TEST(LoadScript, KeysDiffer) {
  std::set<std::string> keys;
  for (uint64_t i = 0; i < 10000; ++i) keys.insert(LoadScript::key_text(i));
  EXPECT_EQ(keys.size(), 10000U);
}

// The same counts however the bytes are cut.
void expect_counts(LoadProtocol protocol, const std::string& bytes, uint64_t replies, uint64_t hits, uint64_t misses,
                   uint64_t errors) {
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    ReplyCounter counter(protocol);
    uint64_t counted = 0;
    for (size_t at = 0; at < bytes.size(); at += piece)
      counted += counter.feed(std::string_view(bytes).substr(at, piece));
    ASSERT_EQ(counted, replies) << "pieces of " << piece;
    ASSERT_EQ(counter.hits(), hits);
    ASSERT_EQ(counter.misses(), misses);
    ASSERT_EQ(counter.errors(), errors);
  }
}

TEST(ReplyCounter, CountsRespReplies) {
  expect_counts(LoadProtocol::kResp, "+OK\r\n$3\r\na\r\n\r\n$-1\r\n_\r\n:1\r\n-MOVED 1 x\r\n$0\r\n\r\n", 7, 2, 2, 1);
}

TEST(ReplyCounter, CountsMemcachedReplies) {
  expect_counts(
      LoadProtocol::kMemcached,
      "STORED\r\nVALUE k 0 5\r\nEND\r\n\r\nEND\r\nEND\r\nDELETED\r\nNOT_FOUND\r\nSERVER_ERROR out of memory\r\n", 6, 1,
      1, 1);
}

TEST(ReplyCounter, NotesTheOutcomesOfLookupsInOrder) {
  std::vector<Lookup> lookups;
  ReplyCounter counter(LoadProtocol::kResp);
  counter.note_lookups_in(&lookups);
  counter.feed("$-1\r\n+OK\r\n$1\r\na\r\n$-1\r\n");
  EXPECT_EQ(lookups, (std::vector{Lookup::kMiss, Lookup::kHit, Lookup::kMiss}));
}

TEST(ReplyCounter, KeepsOnlyTheBeginningOfALineWithoutEnd) {
  ReplyCounter counter(LoadProtocol::kResp);
  for (int i = 0; i < 100; ++i) counter.feed("-" + std::string(100, 'x'));
  counter.feed("\r\n");
  EXPECT_EQ(counter.errors(), 1U);
  EXPECT_LE(counter.first_error().size(), 512U);
}

TEST(ReplyCounter, RemembersTheFirstError) {
  ReplyCounter counter(LoadProtocol::kResp);
  counter.feed("-ERR one\r\n-ERR two\r\n");
  EXPECT_EQ(counter.first_error(), "-ERR one");
}

}  // namespace
}  // namespace tidemark::bench
