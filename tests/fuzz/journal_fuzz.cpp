// Any bytes: a journal record is read whole or refused as corrupt, and what was read is written and read back equal.
// The stages and moves of its commits then travel in INVALB: what the encoder makes the decoder takes, with the same
// stages and moves.
#include "base/wire/resp_value.h"
#include "replication/wal/invalidation_batch.h"
#include "tests/fuzz/fuzz.h"

using namespace tidemark;
using namespace tidemark::replication;

namespace {

size_t count_stages(const JournalRecord& record) {
  size_t stages = 0;
  for (const Commit& commit : record.commits) {
    for (const InvalidatedKey& key : commit.keys) stages += key.stage ? 1 : 0;
  }
  return stages;
}

void check_batches(const JournalRecord& record) {
  std::vector<const Commit*> commits;
  for (const Commit& commit : record.commits) {
    if (commit.commit_us < 0) return;  // no clock of Postgres gives that
    commits.push_back(&commit);
  }
  size_t stages = 0, moved = 0;
  for (const std::string& part : encode_invalb({.prev_lsn = {}, .last_lsn = {UINT64_MAX}}, commits, SlotSet().set())) {
    ReplyParser parser;
    parser.feed(part);
    auto request = parser.next();
    FUZZ_CLAIM(request && *request);
    std::vector<std::string_view> arguments;
    for (size_t i = 1; i < (*request)->elements.size(); ++i) arguments.push_back((*request)->elements[i].text);
    auto batch = decode_invalb(arguments);
    FUZZ_CLAIM(batch.has_value());
    stages += batch->staged.size();
    moved += batch->moved.size();
  }
  FUZZ_CLAIM(stages == count_stages(record));
  size_t wanted = 0;
  for (const Commit& commit : record.commits) wanted += commit.moved.size();
  FUZZ_CLAIM(moved == wanted);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto record = decode_journal_record(as_text(data, size));
  if (!record) {
    FUZZ_CLAIM(record.error().code == ErrorCode::kCorrupt);
    return 0;
  }
  auto again = decode_journal_record(encode_journal_record(*record));
  FUZZ_CLAIM(again && *again == *record);
  check_batches(*record);
  return 0;
}
