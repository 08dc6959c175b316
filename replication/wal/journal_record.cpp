// The journal's record format, version 3: numbers big-endian, every text behind its 32-bit length.
//
//   u8 version   u64 prev_lsn   u64 lsn   u32 commits   then per commit:
//   u64 xid   u64 end_lsn   u64 commit_us   u8 invalidates_all   u32 keys   (u32 length, bytes) × keys
//   u32 stages   (u32 index of the key, u64 stage) × stages, ascending
//
//   u32 moved   (u16 bucket, u32 epoch) × moved
//
// Version 2, without the last line, and version 1, without the line of stages, are still read: a journal outlives the
// program that wrote it.
#include <fmt/format.h>

#include <algorithm>

#include "replication/wal/byte_reader.h"
#include "replication/wal/invalidation_batch.h"

namespace tidemark::replication {
namespace {

constexpr uint8_t kRecordVersion = 3;
constexpr uint8_t kRecordVersionMin = 1;
constexpr size_t kCommitBytesMin = 8 + 8 + 8 + 1 + 4;
constexpr size_t kKeyBytesMin = 4;
constexpr size_t kStageBytes = 4 + 8;
constexpr size_t kMovedBytes = 2 + 4;

void append_number(std::string& out, uint64_t value, int size) {
  for (int shift = (size - 1) * 8; shift >= 0; shift -= 8) out += static_cast<char>((value >> shift) & 0xff);
}

void append_stages(std::string& out, const std::vector<InvalidatedKey>& keys) {
  append_number(out, static_cast<uint64_t>(std::ranges::count_if(keys, [](const auto& key) { return !!key.stage; })),
                4);
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!keys[i].stage) continue;
    append_number(out, i, 4);
    append_number(out, *keys[i].stage, 8);
  }
}

void append_commit(std::string& out, const Commit& commit) {
  append_number(out, commit.xid, 8);
  append_number(out, commit.end_lsn.value, 8);
  append_number(out, static_cast<uint64_t>(commit.commit_us), 8);
  append_number(out, commit.invalidates_all ? 1 : 0, 1);
  append_number(out, commit.keys.size(), 4);
  for (const InvalidatedKey& key : commit.keys) {
    append_number(out, key.key.size(), 4);
    out += key.key;
  }
  append_stages(out, commit.keys);
  append_number(out, commit.moved.size(), 4);
  for (const MovedBucket& moved : commit.moved) {
    append_number(out, moved.bucket, 2);
    append_number(out, moved.epoch, 4);
  }
}

bool read_stages(ByteReader& in, std::vector<InvalidatedKey>& keys) {
  size_t count = in.u32();
  if (count > keys.size() || count > in.remaining() / kStageBytes) return false;
  size_t from = 0;
  for (size_t i = 0; i < count; ++i) {
    size_t index = in.u32();
    if (index < from || index >= keys.size()) return false;
    keys[index].stage = in.u64();
    from = index + 1;
  }
  return true;
}

bool read_moved(ByteReader& in, std::vector<MovedBucket>& moved) {
  size_t count = in.u32();
  if (count > kBucketCount || count > in.remaining() / kMovedBytes) return false;
  moved.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    MovedBucket one;
    one.bucket = in.u16();
    one.epoch = in.u32();
    if (one.bucket >= kBucketCount) return false;
    moved.push_back(one);
  }
  return true;
}

bool read_commit(ByteReader& in, uint8_t version, Commit& commit) {
  commit.xid = in.u64();
  commit.end_lsn = {in.u64()};
  commit.commit_us = static_cast<int64_t>(in.u64());
  commit.invalidates_all = in.u8() == 1;
  size_t keys = in.u32();
  if (keys > in.remaining() / kKeyBytesMin) return false;
  commit.keys.reserve(keys);
  for (size_t i = 0; i < keys; ++i) {
    std::string_view key = in.bytes(in.u32());
    commit.keys.push_back({std::string(key), slot_of_key(key)});
  }
  if (version >= 2 && !read_stages(in, commit.keys)) return false;
  if (version >= 3 && !read_moved(in, commit.moved)) return false;
  return !in.is_cut();
}

}  // namespace

std::string encode_journal_record(const JournalRecord& record) {
  std::string out;
  append_number(out, kRecordVersion, 1);
  append_number(out, record.prev_lsn.value, 8);
  append_number(out, record.lsn.value, 8);
  append_number(out, record.commits.size(), 4);
  for (const Commit& commit : record.commits) append_commit(out, commit);
  return out;
}

Result<JournalRecord> decode_journal_record(std::string_view bytes) {
  ByteReader in(bytes);
  uint8_t version = in.u8();
  if (version < kRecordVersionMin || version > kRecordVersion) {
    return fail(ErrorCode::kCorrupt, fmt::format("journal record of version {}; this program reads {} to {}", version,
                                                 kRecordVersionMin, kRecordVersion));
  }
  JournalRecord record;
  record.prev_lsn = {in.u64()};
  record.lsn = {in.u64()};
  size_t count = in.u32();
  bool is_whole = count <= in.remaining() / kCommitBytesMin;
  for (size_t i = 0; is_whole && i < count; ++i) is_whole = read_commit(in, version, record.commits.emplace_back());
  if (!is_whole || in.is_cut() || in.remaining() > 0) {
    return fail(ErrorCode::kCorrupt, fmt::format("journal record at {} is malformed near byte {} of {}",
                                                 record.lsn.to_string(), in.offset(), bytes.size()));
  }
  return record;
}

}  // namespace tidemark::replication
