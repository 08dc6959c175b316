// What one commit costs the invalidator: decoding pgoutput, putting the commit together with its keys, writing INVALB.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "replication/wal/commit_assembler.h"
#include "replication/wal/pgoutput_decoder.h"

namespace tidemark::replication {
namespace {

// Messages in pgoutput's layout (PostgreSQL documentation, "Logical Replication Message Formats").
class MessageBytes {
 public:
  explicit MessageBytes(char kind) { bytes_ += kind; }
  template <typename Number>
  MessageBytes& number(Number value) {
    for (int shift = static_cast<int>(sizeof(Number)) * 8 - 8; shift >= 0; shift -= 8)
      bytes_ += static_cast<char>(static_cast<uint64_t>(value) >> shift);
    return *this;
  }
  MessageBytes& byte(char value) {
    bytes_ += value;
    return *this;
  }
  MessageBytes& name(std::string_view text) {
    (bytes_ += text) += '\0';
    return *this;
  }
  MessageBytes& text_column(std::string_view text) {
    bytes_ += 't';
    number(static_cast<uint32_t>(text.size()));
    bytes_ += text;
    return *this;
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

constexpr uint32_t kRelation = 16385;
constexpr uint32_t kTextOid = 25, kInt4Oid = 23;
constexpr uint64_t kLsn = 0x1553680;

std::string begin_message() {
  return MessageBytes('B').number(kLsn).number(uint64_t{1}).number(uint32_t{731}).take();
}
std::string commit_message() {
  return MessageBytes('C').byte(0).number(kLsn).number(kLsn + 48).number(uint64_t{1}).take();
}
std::string relation_message() {
  MessageBytes bytes('R');
  bytes.number(kRelation).name("catalog").name("product").byte('d').number(uint16_t{3});
  bytes.byte(1).name("bucket").number(kInt4Oid).number(uint32_t{0xffffffff});
  bytes.byte(1).name("sku").number(kTextOid).number(uint32_t{0xffffffff});
  bytes.byte(0).name("content").number(kTextOid).number(uint32_t{0xffffffff});
  return bytes.take();
}
std::string update_message(size_t i) {
  MessageBytes bytes('U');
  bytes.number(kRelation).byte('N').number(uint16_t{3});
  bytes.text_column("77").text_column("sku-" + std::to_string(100'000 + i)).text_column(std::string(200, 'c'));
  return bytes.take();
}

Keymap keymap() {
  return Keymap::build(
             {{.name = "product", .pattern = "product:{<sku>}", .table = "catalog.product", .key_columns = {"sku"}}})
      .value();
}

void BM_DecodeUpdate(benchmark::State& state) {
  const std::string bytes = update_message(1);
  if (!decode_pgoutput(bytes)) return state.SkipWithError("the message does not decode");
  for (auto _ : state) {
    auto message = decode_pgoutput(bytes);
    benchmark::DoNotOptimize(message);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes.size()));
}
BENCHMARK(BM_DecodeUpdate);

// From the bytes of the stream to a commit with its keys: Begin, range(0) updated rows, Commit.
void BM_AssembleCommit(benchmark::State& state) {
  const Keymap map = keymap();
  CommitAssembler assembler(map);
  std::vector<std::string> messages{begin_message()};
  for (int64_t i = 0; i < state.range(0); ++i) messages.push_back(update_message(static_cast<size_t>(i)));
  messages.push_back(commit_message());
  const std::string relation = relation_message();
  // Postgres describes a relation once per connection, inside the transaction that changes it first.
  auto feed = [&](const std::string& bytes) {
    auto message = decode_pgoutput(bytes);
    return message ? assembler.on_message(*message, 1000) : std::unexpected(message.error());
  };
  if (!feed(begin_message()) || !feed(relation) || !feed(commit_message()))
    return state.SkipWithError("the relation is not taken");
  for (auto _ : state) {
    for (const std::string& bytes : messages) {
      auto commit = feed(bytes);
      if (!commit) return state.SkipWithError(commit.error().message.c_str());
      benchmark::DoNotOptimize(commit);
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_AssembleCommit)->ArgName("rows")->Arg(1)->Arg(100);

}  // namespace
}  // namespace tidemark::replication
