#include "client/transaction.h"

#include <algorithm>

namespace tidemark::client {
namespace {

std::string limit_text(std::string_view what, size_t limit) {
  return "a transaction of more than " + std::to_string(limit) + " " + std::string(what) + ": split it";
}

}  // namespace

Transaction& Transaction::touch(Bucket bucket) {
  buckets_.push_back(bucket);
  return *this;
}

Transaction& Transaction::run(shardrouter::Statement statement) {
  if (statements_.size() < kStatementsMax)
    statements_.push_back(std::move(statement));
  else if (!error_)
    error_ = Error{ErrorCode::kInvalidArgument, limit_text("statements", kStatementsMax)};
  return *this;
}

Transaction& Transaction::invalidate_key(Result<std::string> key) {
  if (!key) {
    if (!error_) error_ = key.error().with_context("key to invalidate");
  } else if (std::ranges::find(keys_, *key) != keys_.end()) {
    return *this;
  } else if (keys_.size() >= kKeysMax) {
    if (!error_) error_ = Error{ErrorCode::kInvalidArgument, limit_text("keys to invalidate", kKeysMax)};
  } else if (key->find('\n') != std::string::npos) {
    if (!error_) error_ = Error{ErrorCode::kInvalidArgument, "key to invalidate: it holds a line feed"};
  } else {
    touch(bucket_of_slot(slot_of_key(*key)));
    keys_.push_back(std::move(*key));
  }
  return *this;
}

Result<std::vector<shardrouter::Statement>> Transaction::take_statements() && {
  if (error_) return std::unexpected(*error_);
  std::vector<shardrouter::Statement> statements = std::move(statements_);
  if (keys_.empty()) return statements;
  std::string lines;
  for (const std::string& key : keys_) lines += lines.empty() ? key : "\n" + key;
  statements.push_back({"SELECT pg_logical_emit_message(true, 'cache.inval', $1::text)", {std::move(lines)}});
  return statements;
}

}  // namespace tidemark::client
