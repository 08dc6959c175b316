// Any messages in any order: the assembler gives a commit whose keys are ascending and without repeats, or refuses the
// stream as corrupt. Each message stands behind one byte of length; a length of 0 is a stage message of the bytes'
// rest.
#include <algorithm>

#include "replication/wal/commit_assembler.h"
#include "replication/wal/pgoutput_decoder.h"
#include "tests/fuzz/fuzz.h"

using namespace tidemark;
using namespace tidemark::replication;

namespace {

Keymap make_keymap() {
  return *Keymap::build({{.name = "k", .pattern = "k:{<id>}", .table = "s.t", .key_columns = {"id"}}});
}

bool feed(CommitAssembler& assembler, const WalMessage& message) {
  auto commit = assembler.on_message(message, 1000);
  if (!commit) {
    FUZZ_CLAIM(commit.error().code == ErrorCode::kCorrupt);
    return false;
  }
  if (!*commit) return true;
  const auto& keys = (*commit)->keys;
  FUZZ_CLAIM(std::ranges::adjacent_find(keys, std::ranges::greater_equal(), &InvalidatedKey::key) == keys.end());
  FUZZ_CLAIM(std::ranges::all_of(keys, [](const auto& key) { return key.slot == slot_of_key(key.key); }));
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Keymap keymap = make_keymap();
  CommitAssembler assembler(keymap);
  std::string_view rest = as_text(data, size);
  if (!feed(assembler, BeginMessage{Lsn{0x100}, 0, 7})) return 0;
  if (!feed(assembler, RelationMessage{1, "s", "t", 'd', {{true, "id", 25}}})) return 0;
  while (!rest.empty()) {
    const auto length = static_cast<unsigned char>(rest[0]);
    rest.remove_prefix(1);
    const std::string_view body = rest.substr(0, length == 0 ? rest.size() : length);
    rest.remove_prefix(body.size());
    if (length == 0) {
      if (!feed(assembler, LogicalMessage{true, Lsn{0x180}, "cache.stage", body})) return 0;
      continue;
    }
    auto message = decode_pgoutput(body);
    if (message && !feed(assembler, *message)) return 0;
  }
  if (assembler.is_in_transaction()) feed(assembler, CommitMessage{Lsn{0x1F0}, Lsn{0x200}, 0});
  return 0;
}
