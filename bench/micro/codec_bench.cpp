// Keys and values as the client makes them: rendering a key, values of text, of a flat type and of a protobuf message.
#include <benchmark/benchmark.h>

#include <string>

#include "client/codec.h"
#include "client/key_family.h"
#include "services/catalog/proto/catalog.pb.h"

namespace tidemark::client {
namespace {

struct ProductBySku : KeyFamily<"product:{<sku>}", std::string, std::string> {};

void BM_RenderKey(benchmark::State& state) {
  const std::string sku = "sku-100001";
  for (auto _ : state) benchmark::DoNotOptimize(ProductBySku::key(sku));
}
BENCHMARK(BM_RenderKey);

struct Flat {
  int64_t price_cents = 199, stock = 17, row_version = 3;
};

tidemark::catalog::v1::Product product() {
  tidemark::catalog::v1::Product product;
  product.set_sku("sku-100001");
  product.set_version("5.2.15-2+b2");
  product.set_section("shells");
  product.set_description(std::string(150, 'd'));
  product.set_price_cents(199);
  return product;
}

template <typename Value>
void encode(benchmark::State& state, const Value& value) {
  for (auto _ : state) {
    std::string bytes = encode_value(value);
    benchmark::DoNotOptimize(bytes.data());
  }
}

template <typename Value>
void decode(benchmark::State& state, const Value& value) {
  const std::string bytes = encode_value(value);
  if (!decode_value<Value>(bytes)) return state.SkipWithError("the value does not decode");
  for (auto _ : state) {
    auto back = decode_value<Value>(bytes);
    benchmark::DoNotOptimize(back);
  }
}

BENCHMARK_CAPTURE(encode, text200, std::string(200, 'v'))->Name("BM_EncodeText");
BENCHMARK_CAPTURE(decode, text200, std::string(200, 'v'))->Name("BM_DecodeText");
BENCHMARK_CAPTURE(encode, flat, Flat())->Name("BM_EncodeFlat");
BENCHMARK_CAPTURE(decode, flat, Flat())->Name("BM_DecodeFlat");
BENCHMARK_CAPTURE(encode, product, product())->Name("BM_EncodeProduct");
BENCHMARK_CAPTURE(decode, product, product())->Name("BM_DecodeProduct");

}  // namespace
}  // namespace tidemark::client
