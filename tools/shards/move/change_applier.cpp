#include "tools/shards/move/change_applier.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <type_traits>

#include "base/parse.h"
#include "replication/wal/pgoutput_decoder.h"

namespace tidemark::shards {

using namespace replication;

template <typename Message>
Status ChangeApplier::on_row(const Message& message) {
  if (is_skipped_) return {};
  if (message.relation == marker_relation_) {
    if constexpr (std::is_same_v<Message, InsertMessage>)
      seen_marker_ = static_cast<int>(parse_i64(message.after.at(1).text).value_or(0));
    return {};
  }
  const auto bound = relations_.find(message.relation);
  if (bound == relations_.end())
    return fail(ErrorCode::kCorrupt, fmt::format("a row of relation {} that was never described", message.relation));
  Result<RowStatement> statement;
  if constexpr (std::is_same_v<Message, InsertMessage>) statement = insert_statement(bound->second, message);
  if constexpr (std::is_same_v<Message, UpdateMessage>) statement = update_statement(bound->second, message);
  if constexpr (std::is_same_v<Message, DeleteMessage>) statement = delete_statement(bound->second, message);
  if (!statement) return std::unexpected(statement.error());
  ++rows_;
  return send_prepared(*statement);
}

Status ChangeApplier::on_message(std::string_view pgoutput) {
  const auto message = decode_pgoutput(pgoutput);
  if (!message) return std::unexpected(message.error().with_context("stream"));
  return std::visit(
      [this]<typename Message>(const Message& m) -> Status {
        if constexpr (std::is_same_v<Message, BeginMessage>) {
          is_in_transaction_ = true;
          is_skipped_ = m.commit_lsn < durable_from_;  // the target holds it already
          seen_marker_ = 0;
        } else if constexpr (std::is_same_v<Message, OriginMessage>) {
          is_skipped_ = is_skipped_ || m.name.starts_with("mv_");
        } else if constexpr (std::is_same_v<Message, CommitMessage>) {
          is_in_transaction_ = false;
          last_end_ = m.end_lsn;
          if (seen_marker_ > 0 && !is_skipped_) {
            marker_ = seen_marker_;
            marker_end_ = m.end_lsn;
          }
          if (seen_marker_ < 0 && !is_skipped_) {
            rehearsal_ = -seen_marker_;
            rehearsal_end_ = m.end_lsn;
          }
        } else if constexpr (std::is_same_v<Message, RelationMessage>) {
          return apply(m);
        } else if constexpr (std::is_same_v<Message, InsertMessage> || std::is_same_v<Message, UpdateMessage> ||
                             std::is_same_v<Message, DeleteMessage>) {
          return on_row(m);
        } else if constexpr (std::is_same_v<Message, TruncateMessage>) {
          return fail(ErrorCode::kFailedPrecondition, "a moved table was truncated");
        }
        return {};
      },
      *message);
}

Status ChangeApplier::apply(const RelationMessage& message) {
  if (message.schema == "shard" && message.name == "move_marker") {
    marker_relation_ = message.id;
    return {};
  }
  auto bound = bind_relation(message, *tables_);
  if (!bound) return std::unexpected(bound.error());
  relations_[message.id] = std::move(*bound);
  return {};
}

Status ChangeApplier::send(const std::string& sql, const std::vector<std::optional<std::string>>& params,
                           bool must_hit) {
  std::vector<const char*> values;
  for (const auto& param : params) values.push_back(param ? param->c_str() : nullptr);
  if (PQsendQueryParams(link_->raw(), sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(), nullptr,
                        nullptr, 0) != 1)
    return std::unexpected(link_->error());
  expected_.push_back(must_hit);
  return {};
}

Status ChangeApplier::begin() {
  if (is_open_) return {};
  if (!is_pipelined_ && PQenterPipelineMode(link_->raw()) != 1) return std::unexpected(link_->error());
  is_pipelined_ = is_open_ = true;
  Status begun = send("BEGIN", {}, false);
  if (begun) begun = send("SELECT shard.move_applying($1, 'copied')", {move_id_}, false);
  if (begun) begun = send("SET CONSTRAINTS ALL DEFERRED", {}, false);
  return begun;
}

Status ChangeApplier::note_idle(Lsn position) {
  if (is_open_ || is_in_transaction_ || position <= applied_) return {};
  Status done = begin();
  // Something must be written: a transaction without a change keeps no position.
  if (done) done = send("UPDATE shard.move SET heartbeat = clock_timestamp() WHERE move_id = $1", {move_id_}, false);
  last_end_ = std::max(last_end_, position);
  return done ? flush() : done;
}

Status ChangeApplier::send_prepared(const RowStatement& statement) {
  if (const Status begun = begin(); !begun) return begun;
  auto [known, is_new] = prepared_.try_emplace(statement.name, fmt::format("m{}", prepared_.size()));
  if (is_new) {
    if (PQsendPrepare(link_->raw(), known->second.c_str(), statement.sql.c_str(), 0, nullptr) != 1)
      return std::unexpected(link_->error());
    expected_.push_back(false);
  }
  std::vector<const char*> values;
  for (const auto& param : statement.params) values.push_back(param ? param->c_str() : nullptr);
  if (PQsendQueryPrepared(link_->raw(), known->second.c_str(), static_cast<int>(values.size()), values.data(), nullptr,
                          nullptr, 0) != 1)
    return std::unexpected(link_->error());
  expected_.push_back(true);
  ++statements_;
  if (expected_.size() < kPipelineMax) return {};
  if (PQsendFlushRequest(link_->raw()) != 1) return std::unexpected(link_->error());
  return drain();
}

// Reads the results of everything that was sent.
Status ChangeApplier::drain() {
  Status status;
  for (const bool must_hit : expected_) {
    PGresult* result = PQgetResult(link_->raw());
    if (!result) return std::unexpected(link_->error());
    const bool is_aborted = PQresultStatus(result) == PGRES_PIPELINE_ABORTED;
    auto set = link_->read(result);
    while (PGresult* end = PQgetResult(link_->raw())) PQclear(end);  // each statement's results end with nothing
    if (!set && status && !is_aborted) status = std::unexpected(set.error().with_context("apply"));
    if (set && must_hit && set->rows_affected != 1 && status)
      status = fail(ErrorCode::kCorrupt,
                    fmt::format("a change of the source hit {} rows at the target, not one", set->rows_affected));
    if (!set && PQstatus(link_->raw()) != CONNECTION_OK) return status;
  }
  expected_.clear();
  return status;
}

Status ChangeApplier::flush(bool is_lazy) {
  const Lsn end = std::max(applied_, last_end_);
  if (!is_open_) return {};  // whatever was seen since had no rows for us
  Status sent;
  if (is_lazy) sent = send("SET LOCAL synchronous_commit = 'off'", {}, false);
  if (sent) sent = send("SELECT pg_replication_origin_xact_setup($1, now())", {end.to_string()}, false);
  if (sent) sent = send("COMMIT", {}, false);
  if (!sent) return sent;
  if (PQpipelineSync(link_->raw()) != 1) return std::unexpected(link_->error());
  Status done = drain();
  if (!done) return done;
  PGresult* sync = PQgetResult(link_->raw());
  const bool is_sync = PQresultStatus(sync) == PGRES_PIPELINE_SYNC;
  PQclear(sync);
  if (!is_sync) return fail(ErrorCode::kInternal, "apply: the batch did not end where it should");
  is_open_ = false;
  statements_ = 0;
  applied_ = end;
  return {};
}

}  // namespace tidemark::shards
