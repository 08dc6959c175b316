#include "replication/wal/invalidation_batch.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/parse.h"
#include "base/wire/resp_writer.h"

namespace tidemark::replication {
namespace {

// ------------------------------------------------------------------------------------------------ encoding of requests
void append_address(RespWriter& writer, const FeedAddress& address) {
  writer.bulk_integer(address.shard);
  writer.bulk_integer(address.db_epoch);
  writer.bulk_integer(address.slots_version);
}

// Collects the parts of one batch.
class PartBuilder {
 public:
  PartBuilder(const InvalbOptions& options, const SlotSet& slots) : options_(options), slots_(slots) {}

  void add(const Commit& commit) {
    for (const MovedBucket& moved : commit.moved) append_moved(commit.end_lsn, moved);
    size_t from = 0;
    do {
      from = add_some_keys(commit, from);
    } while (from < commit.keys.size());
  }

  std::vector<std::string> finish() {
    close_part(false);
    return std::move(parts_);
  }

 private:
  // Room for one transaction's header: three numbers and a count as bulk strings.
  static constexpr size_t kHeaderBytes = 128;
  static constexpr size_t kKeyOverheadBytes = 16;
  static constexpr size_t kStageBytes = 2 * 26;  // two numbers of up to 20 digits
  static constexpr size_t kMovedBytes = 64;      // a position and two small numbers

  bool has_room_for(size_t key_bytes) const {
    return keys_ < kBatchKeysMax && bytes() + key_bytes + kHeaderBytes <= kBatchBytesMax;
  }
  size_t bytes() const { return body_.size() + staged_body_.size() + moved_body_.size(); }

  // What a key takes in a part: itself, and once more, with two numbers, if it is staged.
  static size_t bytes_of(const InvalidatedKey& key) {
    return key.stage ? 2 * (key.key.size() + kKeyOverheadBytes) + kStageBytes : key.key.size() + kKeyOverheadBytes;
  }

  // Adds keys from index `from` on until the part is full; the index of the first that did not fit.
  size_t add_some_keys(const Commit& commit, size_t from) {
    if (transactions_ == kBatchTransactionsMax || keys_ == kBatchKeysMax) close_part(true);
    std::string keys;
    RespWriter key_writer(keys, 2);
    size_t added = 0, index = from;
    for (; index < commit.keys.size(); ++index) {
      const InvalidatedKey& key = commit.keys[index];
      if (!slots_.test(key.slot) || options_.without_keys) continue;
      bool is_part_empty = keys_ == 0;
      if (!is_part_empty && !has_room_for(keys.size() + bytes_of(key))) break;
      key_writer.bulk(key.key);
      if (key.stage) append_staged(commit.xid, key);
      ++added;
      ++keys_;
    }
    if (added > 0) append_transaction(commit, added, keys);
    if (index < commit.keys.size()) close_part(true);
    return index;
  }

  void append_staged(Xid xid, const InvalidatedKey& key) {
    RespWriter writer(staged_body_, 2);
    writer.bulk(std::to_string(xid));
    writer.bulk(key.key);
    writer.bulk(std::to_string(*key.stage));
    ++staged_;
  }

  void append_moved(Lsn end_lsn, const MovedBucket& moved) {
    if (moved_ == kBatchMovedMax || !has_room_for(kMovedBytes)) close_part(true);
    RespWriter writer(moved_body_, 2);
    writer.bulk(end_lsn.to_string());
    writer.bulk_integer(moved.bucket);
    writer.bulk_integer(moved.epoch);
    ++moved_;
  }

  void append_transaction(const Commit& commit, size_t key_count, std::string_view keys) {
    RespWriter writer(body_, 2);
    writer.bulk(std::to_string(commit.xid));
    writer.bulk(commit.end_lsn.to_string());
    writer.bulk_integer(commit.commit_us);
    writer.bulk_integer(static_cast<int64_t>(key_count));
    body_.append(keys);
    ++transactions_;
  }

  void close_part(bool more) {
    if (more && transactions_ == 0 && moved_ == 0) return;
    std::string part;
    part.reserve(bytes() + 256);
    RespWriter writer(part, 2);
    writer.array(9 + 4 * transactions_ + keys_ + (staged_ > 0 ? 2 + 3 * staged_ : 0) +
                 (moved_ > 0 ? 2 + 3 * moved_ : 0));
    writer.bulk("INVALB");
    append_address(writer, options_.address);
    writer.bulk(options_.prev_lsn.to_string());
    writer.bulk(options_.last_lsn.to_string());
    writer.bulk_integer(static_cast<int64_t>(2 * parts_.size() + (more ? 1 : 0)));
    writer.bulk_integer(options_.is_replay ? 1 : 0);
    writer.bulk_integer(static_cast<int64_t>(transactions_));
    part += body_;
    if (staged_ > 0) {
      writer.bulk("STAGED");
      writer.bulk_integer(static_cast<int64_t>(staged_));
      part += staged_body_;
    }
    if (moved_ > 0) {
      writer.bulk("MOVED");
      writer.bulk_integer(static_cast<int64_t>(moved_));
      part += moved_body_;
    }
    parts_.push_back(std::move(part));
    body_.clear();
    staged_body_.clear();
    moved_body_.clear();
    transactions_ = keys_ = staged_ = moved_ = 0;
  }

  const InvalbOptions& options_;
  const SlotSet& slots_;
  std::vector<std::string> parts_;
  std::string body_;
  std::string staged_body_;
  std::string moved_body_;
  size_t transactions_ = 0;
  size_t keys_ = 0;
  size_t staged_ = 0;
  size_t moved_ = 0;
};

// ------------------------------------------------------------------------------------------------ decoding of requests
// Takes arguments one after the other; the first that is wrong decides the error.
class ArgumentReader {
 public:
  explicit ArgumentReader(std::span<const std::string_view> arguments) : arguments_(arguments) {}

  uint64_t number(std::string_view name, uint64_t max) {
    auto value = parse_u64(next(name));
    if (!value || *value > max) return refuse(name), 0;
    return *value;
  }
  Lsn lsn(std::string_view name) {
    auto value = Lsn::parse(next(name));
    if (!value) return refuse(name), Lsn{};
    return *value;
  }
  std::string_view next(std::string_view name) {
    if (index_ >= arguments_.size()) return refuse(name), std::string_view();
    return arguments_[index_++];
  }
  size_t remaining() const { return arguments_.size() - index_; }
  void refuse(std::string_view name) {
    if (wrong_.empty()) wrong_ = fmt::format("INVALB: argument {} ({}) is missing or malformed", index_, name);
  }
  const std::string& wrong() const { return wrong_; }

 private:
  std::span<const std::string_view> arguments_;
  size_t index_ = 0;
  std::string wrong_;
};

void read_transactions(ArgumentReader& in, size_t count, InvalidationBatch& batch) {
  size_t keys_total = 0;
  for (size_t i = 0; i < count && in.wrong().empty(); ++i) {
    InvalidationBatch::Transaction transaction;
    transaction.xid = in.number("xid", UINT64_MAX);
    transaction.end_lsn = in.lsn("end_lsn");
    transaction.commit_us = static_cast<int64_t>(in.number("commit_us", INT64_MAX));
    size_t keys = in.number("nkeys", kBatchKeysMax);
    keys_total += keys;
    if (keys_total > kBatchKeysMax || keys > in.remaining()) return in.refuse("nkeys");
    transaction.keys.reserve(keys);
    for (size_t k = 0; k < keys; ++k) transaction.keys.push_back(in.next("key"));
    batch.transactions.push_back(std::move(transaction));
  }
}

bool has_key(const InvalidationBatch& batch, const InvalidationBatch::Staged& staged) {
  return std::ranges::any_of(batch.transactions, [&](const InvalidationBatch::Transaction& transaction) {
    return transaction.xid == staged.xid && std::ranges::find(transaction.keys, staged.key) != transaction.keys.end();
  });
}

void read_staged(ArgumentReader& in, InvalidationBatch& batch) {
  size_t count = in.number("number of STAGED", kBatchKeysMax);
  for (size_t i = 0; i < count && in.wrong().empty(); ++i) {
    InvalidationBatch::Staged staged;
    staged.xid = in.number("xid of STAGED", UINT64_MAX);
    staged.key = in.next("key of STAGED");
    staged.stage = in.number("stage of STAGED", UINT64_MAX);
    if (in.wrong().empty() && !has_key(batch, staged)) in.refuse("key of STAGED");
    batch.staged.push_back(staged);
  }
}

void read_moved(ArgumentReader& in, InvalidationBatch& batch) {
  size_t count = in.number("number of MOVED", kBatchMovedMax);
  for (size_t i = 0; i < count && in.wrong().empty(); ++i) {
    InvalidationBatch::Moved moved;
    moved.end_lsn = in.lsn("end_lsn of MOVED");
    moved.bucket.bucket = static_cast<Bucket>(in.number("bucket of MOVED", kBucketCount - 1));
    moved.bucket.epoch = static_cast<BucketEpoch>(in.number("bucket_epoch of MOVED", UINT32_MAX));
    if (in.wrong().empty() && moved.end_lsn > batch.last_lsn) in.refuse("end_lsn of MOVED");
    batch.moved.push_back(moved);
  }
}

void read_options(ArgumentReader& in, InvalidationBatch& batch) {
  std::string_view word = in.next("option");
  if (word == "STAGED") {
    read_staged(in, batch);
    if (!in.wrong().empty() || in.remaining() == 0) return;
    word = in.next("option");
  }
  if (word != "MOVED") return in.refuse("STAGED or MOVED");
  read_moved(in, batch);
}

}  // namespace

std::vector<std::string> encode_invalb(const InvalbOptions& options, std::span<const Commit* const> commits,
                                       const SlotSet& slots) {
  PartBuilder builder(options, slots);
  for (const Commit* commit : commits) builder.add(*commit);
  return builder.finish();
}

Result<InvalidationBatch> decode_invalb(std::span<const std::string_view> arguments) {
  ArgumentReader in(arguments);
  InvalidationBatch batch;
  batch.address.shard = static_cast<ShardId>(in.number("p", UINT16_MAX));
  batch.address.db_epoch = static_cast<DbEpoch>(in.number("e", UINT32_MAX));
  batch.address.slots_version = static_cast<uint32_t>(in.number("sv", UINT32_MAX));
  batch.prev_lsn = in.lsn("prev_lsn");
  batch.last_lsn = in.lsn("last_lsn");
  uint64_t more = in.number("more", UINT32_MAX);
  batch.part = static_cast<uint32_t>(more / 2);
  batch.has_more = more % 2 == 1;
  batch.is_replay = in.number("replay", 1) == 1;
  read_transactions(in, in.number("ntx", kBatchTransactionsMax), batch);
  if (in.wrong().empty() && in.remaining() > 0) read_options(in, batch);
  if (in.wrong().empty() && in.remaining() > 0) in.refuse("end");
  if (in.wrong().empty() && batch.last_lsn < batch.prev_lsn) in.refuse("last_lsn before prev_lsn");
  if (!in.wrong().empty()) return fail(ErrorCode::kInvalidArgument, in.wrong());
  return batch;
}

std::string encode_fence(const Fence& fence) {
  std::string request;
  RespWriter writer(request, 2);
  writer.array(9);
  writer.bulk("FENCE");
  append_address(writer, fence.address);
  writer.bulk(fence.prev_lsn.to_string());
  writer.bulk(fence.lsn.to_string());
  writer.bulk(fence.settled.to_string());
  writer.bulk(fence.snapshot != nullptr ? fence.snapshot->to_string() : "-");
  writer.bulk(std::to_string(fence.echo));
  return request;
}

std::string encode_epoch(const FeedAddress& address, DbEpoch prev, Lsn switch_lsn) {
  std::string request;
  RespWriter writer(request, 2);
  writer.array(6);
  writer.bulk("EPOCH");
  append_address(writer, address);
  writer.bulk(std::to_string(prev));
  writer.bulk(switch_lsn.to_string());
  return request;
}

std::string encode_fenceall(const FeedAddress& address, Lsn lsn) {
  std::string request;
  RespWriter writer(request, 2);
  writer.array(5);
  writer.bulk("FENCEALL");
  append_address(writer, address);
  writer.bulk(lsn.to_string());
  return request;
}

std::string encode_tide() {
  return "*1\r\n$4\r\nTIDE\r\n";
}

}  // namespace tidemark::replication
