#include "base/proof/proof.h"

#include <fmt/format.h>

#include <limits>

#include "base/parse.h"

namespace tidemark {
namespace {

template <typename T>
bool read_number(std::string_view text, T& out) {
  auto value = parse_u64(text);
  if (!value || *value > std::numeric_limits<T>::max()) return false;
  out = static_cast<T>(*value);
  return true;
}

}  // namespace

std::string Proof::to_string() const {
  if (kind == Kind::kReplica) return fmt::format("R:{}:{}:{}:{}", shard, db_epoch, bucket_epoch, lsn.to_string());
  return fmt::format("S:{}:{}:{}:{}:{}", shard, db_epoch, bucket_epoch, snapshot.to_string(), lsn.to_string());
}

std::optional<Proof> Proof::parse(std::string_view text) {
  auto parts = split(text, ':');
  Proof proof;
  if (parts.size() < 5 || !read_number(parts[1], proof.shard) || !read_number(parts[2], proof.db_epoch) ||
      !read_number(parts[3], proof.bucket_epoch)) {
    return std::nullopt;
  }
  auto lsn = Lsn::parse(parts.back());
  if (!lsn) return std::nullopt;
  proof.lsn = *lsn;
  if (parts[0] == "R" && parts.size() == 5) {
    proof.kind = Kind::kReplica;
    return proof;
  }
  if (parts[0] != "S" || parts.size() != 8) return std::nullopt;
  proof.kind = Kind::kSnapshot;
  size_t begin = static_cast<size_t>(parts[4].data() - text.data());
  size_t end = static_cast<size_t>(parts[7].data() - text.data()) - 1;
  auto snapshot = PgSnapshot::parse(text.substr(begin, end - begin));
  if (!snapshot) return std::nullopt;
  proof.snapshot = std::move(*snapshot);
  return proof;
}

}  // namespace tidemark
