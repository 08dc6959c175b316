// A worker without sockets: a command goes in as text, its RESP2 reply comes out; the clocks stand until moved.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/parse.h"
#include "cacheserver/serving/worker.h"
#include "cacheserver/session/session.h"

namespace tidemark::cacheserver {

class CommandFixture : public testing::Test {
 protected:
  explicit CommandFixture(uint64_t memory_bytes_max = 0, std::string policy = "noeviction") {
    WorkerConfig config;
    config.memory_bytes_max = memory_bytes_max;
    config.memory_policy = std::move(policy);
    Worker::Options options{
        .identity = {}, .config = config, .credentials = {}, .hash_seed = 7, .clock = [] { return Instant{}; }};
    options.identity.node_id = "n1";
    auto worker = Worker::open(options, CommandTable::standard());
    EXPECT_TRUE(worker.has_value());
    worker_ = std::move(*worker);
    session_.user = User::kDefault;
  }

  std::string run_words(const std::vector<std::string>& words) {
    std::vector<std::string_view> arguments(words.begin(), words.end());
    std::string out;
    RespWriter reply(out, 2);
    CommandContext context{
        worker_->keyspace(), worker_->freshness(), session_, worker_->view(), reply, now_, unix_now_};
    worker_->dispatcher().execute(context, CommandTable::standard().find(arguments), arguments);
    return out;
  }
  // Words are parted by one space; '' is an empty word.
  std::string run(std::string_view line) {
    std::vector<std::string> words;
    for (std::string_view word : split(line, ' ')) words.emplace_back(word == "''" ? "" : word);
    return run_words(words);
  }
  // The bytes of a bulk reply.
  static std::string bulk(std::string_view bytes) {
    return "$" + std::to_string(bytes.size()) + "\r\n" + std::string(bytes) + "\r\n";
  }
  void pass(std::chrono::milliseconds time) {
    now_ += time;
    unix_now_.value += time.count();
  }
  // Every slot is this worker's, every bucket shard 7's; keys "product:{…}" come from the database.
  void adopt_families() {
    auto topology = std::make_shared<Topology>();
    topology->version = 1;
    topology->slots_version = 1;
    topology->nodes = {{.id = "n1", .worker_ports = {7001}}};
    topology->groups = {{.id = "g1", .epoch = 1, .nodes = {"n1"}}};
    topology->slot_groups.assign(kSlotCount, 0);
    topology->buckets.assign(kBucketCount, {.shard = 7, .epoch = 4});
    topology->families = {
        {.name = "product", .pattern = "product:{<sku>}", .table = "catalog.product", .key_columns = {"sku"}}};
    worker_->adopt_topology(topology);
  }
  // As SETV would leave it once shard 7 is joined at 0/100.
  Entry* fill(std::string_view key, std::string_view value, Instant expires_at, bool is_absent = false) {
    EntryClaims claims;
    claims.shard = 7;
    claims.db_epoch = 1;
    claims.bucket_epoch = 4;
    claims.is_absent = is_absent;
    claims.lo = claims.hi = Lsn{0x200};
    return worker_->keyspace().put(key, value, {.expires_at = expires_at, .claims = &claims}, now_);
  }

  static constexpr const char* kOk = "+OK\r\n";
  static constexpr const char* kNil = "$-1\r\n";
  static constexpr const char* kSyntax = "-ERR syntax error\r\n";
  static constexpr const char* kNotInteger = "-ERR value is not an integer or out of range\r\n";
  static constexpr const char* kOom = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";

  std::unique_ptr<Worker> worker_;
  Session session_;
  Instant now_{Duration(5'000'000'400)};
  UnixMillis unix_now_{1'700'000'000'123};
};

}  // namespace tidemark::cacheserver
