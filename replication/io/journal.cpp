#include "replication/io/journal.h"

#include <fmt/format.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include <nlohmann/json.hpp>

#include "base/parse.h"
#include "replication/wal/byte_reader.h"

namespace tidemark::replication::io {
namespace {

constexpr int kMetaFormat = 1;

void append_number(std::string& out, uint64_t value, int size) {
  for (int shift = (size - 1) * 8; shift >= 0; shift -= 8) out += static_cast<char>((value >> shift) & 0xff);
}

std::string meta_key(ShardId shard) {
  std::string key = "m";
  append_number(key, shard, 2);
  return key;
}

std::string record_key(ShardId shard, Lsn lsn) {
  std::string key = "r";
  append_number(key, shard, 2);
  append_number(key, lsn.value, 8);
  return key;
}

// The first key behind all records of the shard.
std::string records_end(ShardId shard) {
  return record_key(shard, Lsn{UINT64_MAX}) + '\0';
}

Lsn lsn_of_key(std::string_view key) {
  ByteReader in(key.substr(3));
  return {in.u64()};
}

std::string encode_meta(const JournalMeta& meta) {
  return nlohmann::json{{"format", kMetaFormat},
                        {"begin", meta.begin.to_string()},
                        {"tail", meta.tail.to_string()},
                        {"settled", meta.settled.to_string()},
                        {"system_id", meta.system_id},
                        {"timeline", meta.timeline},
                        {"db_epoch", meta.db_epoch},
                        {"families", meta.families_fingerprint},
                        {"slots_version", meta.slots_version}}
      .dump();
}

Result<JournalMeta> decode_meta(const std::string& text) {
  auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || json.value("format", 0) != kMetaFormat) {
    return fail(ErrorCode::kCorrupt, "journal meta of an unknown format");
  }
  auto lsn = [&json](const char* name) { return Lsn::parse(json.value(name, std::string())); };
  auto begin = lsn("begin"), tail = lsn("tail"), settled = lsn("settled");
  if (!begin || !tail || !settled) return fail(ErrorCode::kCorrupt, "journal meta without its positions");
  return JournalMeta{.begin = *begin,
                     .tail = *tail,
                     .settled = *settled,
                     .system_id = json.value("system_id", std::string()),
                     .timeline = json.value("timeline", 0u),
                     .db_epoch = json.value("db_epoch", 0u),
                     .families_fingerprint = json.value("families", uint64_t{0}),
                     .slots_version = json.value("slots_version", 0u)};
}

Error error_of(const rocksdb::Status& status, std::string_view doing) {
  ErrorCode code = status.IsCorruption() ? ErrorCode::kCorrupt : ErrorCode::kUnavailable;
  return {code, fmt::format("journal: {}: {}", doing, status.ToString())};
}

class RocksJournal final : public Journal {
 public:
  explicit RocksJournal(std::unique_ptr<rocksdb::DB> db) : db_(std::move(db)) {}

  Result<JournalMeta> load_meta(ShardId shard) override {
    std::string text;
    rocksdb::Status status = db_->Get({}, meta_key(shard), &text);
    if (status.IsNotFound()) return fail(ErrorCode::kNotFound, "journal: nothing is known about this shard");
    if (!status.ok()) return std::unexpected(error_of(status, "read meta"));
    return decode_meta(text);
  }

  Status load_retention(ShardId shard, JournalRetention& retention) override {
    auto iteration = iterate(shard);
    auto* iterator = iteration->iterator.get();
    for (iterator->Seek(record_key(shard, Lsn{})); iterator->Valid(); iterator->Next()) {
      auto record = decode_journal_record(iterator->value().ToStringView());
      if (!record) return std::unexpected(record.error());
      int64_t written_us = record->commits.empty() ? 0 : record->commits.back().commit_us;
      retention.on_record(record->lsn, iterator->value().size(), written_us);
    }
    if (!iterator->status().ok()) return std::unexpected(error_of(iterator->status(), "scan"));
    return {};
  }

  Status append(ShardId shard, const std::vector<JournalRecord>& records, const JournalMeta& meta) override {
    rocksdb::WriteBatch batch;
    for (const JournalRecord& record : records) {
      batch.Put(record_key(shard, record.lsn), encode_journal_record(record));
    }
    batch.Put(meta_key(shard), encode_meta(meta));
    return write(batch, "append");
  }

  Status cut(ShardId shard, const JournalMeta& meta) override {
    rocksdb::WriteBatch batch;
    batch.DeleteRange(record_key(shard, Lsn{}), records_end(shard));
    batch.Put(meta_key(shard), encode_meta(meta));
    return write(batch, "cut");
  }

  Status trim(ShardId shard, Lsn through, const JournalMeta& meta) override {
    rocksdb::WriteBatch batch;
    batch.DeleteRange(record_key(shard, Lsn{}), record_key(shard, through) + '\0');
    batch.Put(meta_key(shard), encode_meta(meta));
    return write(batch, "trim");
  }

  Result<JournalRecord> read_after(ShardId shard, Lsn position) override {
    auto meta = load_meta(shard);
    if (!meta) return std::unexpected(meta.error());
    if (position < meta->begin) {
      return fail(ErrorCode::kNotFound,
                  fmt::format("journal: begins at {}, asked for {}", meta->begin.to_string(), position.to_string()));
    }
    JournalRecord result{.prev_lsn = position, .lsn = std::max(position, meta->tail), .commits = {}};
    size_t bytes = 0;
    auto iteration = iterate(shard);
    auto* iterator = iteration->iterator.get();
    for (iterator->Seek(record_key(shard, Lsn{position.value + 1})); iterator->Valid(); iterator->Next()) {
      if (lsn_of_key(iterator->key().ToStringView()) > meta->tail) break;  // appended meanwhile
      auto record = decode_journal_record(iterator->value().ToStringView());
      if (!record) return std::unexpected(record.error());
      for (Commit& commit : record->commits) {
        if (commit.end_lsn > position) result.commits.push_back(std::move(commit));
      }
      bytes += iterator->value().size();
      if (bytes >= kReplayBytesMax) {
        result.lsn = record->lsn;
        break;
      }
    }
    if (!iterator->status().ok()) return std::unexpected(error_of(iterator->status(), "read"));
    return result;
  }

 private:
  // An iterator over the shard's records. RocksDB keeps a pointer to the bound, so both live together.
  struct Iteration {
    std::string end;
    rocksdb::Slice bound;
    std::unique_ptr<rocksdb::Iterator> iterator;
  };
  std::unique_ptr<Iteration> iterate(ShardId shard) {
    auto iteration = std::make_unique<Iteration>();
    iteration->end = records_end(shard);
    iteration->bound = iteration->end;
    rocksdb::ReadOptions options;
    options.iterate_upper_bound = &iteration->bound;
    iteration->iterator.reset(db_->NewIterator(options));
    return iteration;
  }

  Status write(rocksdb::WriteBatch& batch, std::string_view doing) {
    rocksdb::WriteOptions options;
    options.sync = true;
    rocksdb::Status status = db_->Write(options, &batch);
    if (!status.ok()) return std::unexpected(error_of(status, doing));
    return {};
  }

  std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace

Result<std::unique_ptr<Journal>> Journal::open(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error)
    return fail(ErrorCode::kInvalidArgument, fmt::format("journal {}: {}", directory.string(), error.message()));
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = 16u << 20;
  options.max_log_file_size = 1u << 20;
  options.keep_log_file_num = 3;
  options.max_background_jobs = 2;
  options.compression = rocksdb::kLZ4Compression;
  rocksdb::DB* db = nullptr;
  rocksdb::Status status = rocksdb::DB::Open(options, directory.string(), &db);
  if (!status.ok()) {
    return std::unexpected(Error{
        ErrorCode::kUnavailable,
        fmt::format("journal {}: {} (is another invalidator running on it?)", directory.string(), status.ToString())});
  }
  return std::make_unique<RocksJournal>(std::unique_ptr<rocksdb::DB>(db));
}

}  // namespace tidemark::replication::io
