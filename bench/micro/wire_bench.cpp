// What the wire costs on both sides: requests as a node reads them, replies as a client reads them, GETL both ways.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "base/wire/request_parser.h"
#include "base/wire/resp_value.h"
#include "base/wire/resp_writer.h"
#include "client/strategy/freshness_replies.h"

namespace tidemark {
namespace {

std::string key_of(size_t i) {
  return "product:{sku-" + std::to_string(100'000 + i) + "}";
}

// range(0) GETs in one read, as a pipelining client sends them.
void BM_ParseGets(benchmark::State& state) {
  std::string bytes;
  for (int64_t i = 0; i < state.range(0); ++i) bytes += make_request({"GET", key_of(static_cast<size_t>(i))});
  RequestParser parser;
  RequestBatch batch;
  for (auto _ : state) {
    std::string_view input = bytes;
    batch.clear();
    while (parser.next(input, batch) == RequestParser::Outcome::kRequest) {
    }
    benchmark::DoNotOptimize(batch.size());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_ParseGets)->ArgName("pipelined")->Arg(1)->Arg(16);

void BM_ParseMget(benchmark::State& state) {
  std::vector<std::string> keys;
  for (size_t i = 0; i < 100; ++i) keys.push_back(key_of(i));
  std::vector<std::string_view> words{"MGET"};
  words.insert(words.end(), keys.begin(), keys.end());
  std::string bytes;
  append_request(bytes, words);
  RequestParser parser;
  RequestBatch batch;
  for (auto _ : state) {
    std::string_view input = bytes;
    batch.clear();
    auto outcome = parser.next(input, batch);
    benchmark::DoNotOptimize(outcome);
  }
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(BM_ParseMget);

void parse_reply(benchmark::State& state, const std::string& bytes) {
  ReplyParser parser;
  for (auto _ : state) {
    parser.feed(bytes);
    auto value = parser.next();
    benchmark::DoNotOptimize(value);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes.size()));
}

void BM_ParseReplyBulk(benchmark::State& state) {
  std::string bytes;
  RespWriter(bytes, 3).bulk(std::string(static_cast<size_t>(state.range(0)), 'v'));
  parse_reply(state, bytes);
}
BENCHMARK(BM_ParseReplyBulk)->ArgName("bytes")->Arg(100)->Arg(4096);

void BM_ParseReplyArrayOf100(benchmark::State& state) {
  std::string bytes;
  RespWriter writer(bytes, 3);
  writer.array(100);
  for (int i = 0; i < 100; ++i) writer.bulk(std::string(100, 'v'));
  parse_reply(state, bytes);
}
BENCHMARK(BM_ParseReplyArrayOf100);

std::string hit_reply(size_t bytes_of_value) {
  std::string bytes;
  RespWriter writer(bytes, 3);
  writer.array(6);
  writer.bulk("HIT");
  writer.bulk(std::string(bytes_of_value, 'v'));
  writer.integer(12);
  writer.bulk("16/B374D848");
  writer.bulk("FFFFFFFF/FFFFFFFF");
  writer.integer(3);
  return bytes;
}

void BM_GetlEncode(benchmark::State& state) {
  const std::string key = key_of(1);
  for (auto _ : state) {
    std::string request = client::make_getl(key, 60'000);
    benchmark::DoNotOptimize(request.data());
  }
}
BENCHMARK(BM_GetlEncode);

// From the bytes of the reply to the typed answer, with a value of 200 bytes.
void BM_GetlDecodeHit(benchmark::State& state) {
  const std::string bytes = hit_reply(200);
  ReplyParser parser;
  parser.feed(bytes);
  if (!client::parse_getl(**parser.next())) return state.SkipWithError("the reply is not GETL's");
  for (auto _ : state) {
    parser.feed(bytes);
    auto value = parser.next();
    auto reply = client::parse_getl(std::move(**value));
    benchmark::DoNotOptimize(reply);
  }
}
BENCHMARK(BM_GetlDecodeHit);

}  // namespace
}  // namespace tidemark
