#include "services/session/session_sql.h"

#include <nlohmann/json.hpp>

#include "services/session/session_rules.h"

namespace tidemark::session {
namespace {

constexpr const char* kInsert =
    "INSERT INTO session.session (bucket, token_digest, customer_id, created_ms, touched_ms, idle_timeout_ms, "
    "expires_ms, attributes) "
    "VALUES ($1::int, $2, $3::bigint, $4::bigint, $5::bigint, $6::bigint, $7::bigint, $8::jsonb) "
    "RETURNING token_digest, customer_id, created_ms, touched_ms, idle_timeout_ms, expires_ms, attributes, row_version";
// $4 = now - kTouchInterval.
constexpr const char* kTouch =
    "UPDATE session.session SET touched_ms = $3::bigint WHERE bucket = $1::int AND token_digest = $2 "
    "AND touched_ms <= $4::bigint AND touched_ms + idle_timeout_ms > $4::bigint AND expires_ms > $3::bigint "
    "RETURNING token_digest, customer_id, created_ms, touched_ms, idle_timeout_ms, expires_ms, attributes, row_version";
constexpr const char* kDelete =
    "DELETE FROM session.session WHERE bucket = $1::int AND token_digest = $2 RETURNING token_digest";
constexpr const char* kSelectEnded =
    "SELECT s.bucket, s.token_digest FROM session.session s "
    "WHERE least(s.touched_ms + s.idle_timeout_ms, s.expires_ms) <= $1::bigint "
    "AND EXISTS (SELECT FROM shard.bucket b WHERE b.bucket = s.bucket AND b.state = 'owned') "
    "ORDER BY least(s.touched_ms + s.idle_timeout_ms, s.expires_ms) LIMIT $2::int";
// Advisory lock (7005, 0): the sweeper of this database, until the end of the transaction.
constexpr const char* kDeleteEnded =
    "WITH sweeper AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(7005, 0) AS is_mine), "
    "gone AS (DELETE FROM session.session s USING unnest($1::int[], $2::text[]) AS k(bucket, token_digest) "
    "WHERE s.bucket = k.bucket AND s.token_digest = k.token_digest "
    "AND least(s.touched_ms + s.idle_timeout_ms, s.expires_ms) <= $3::bigint AND (SELECT is_mine FROM sweeper) "
    "RETURNING 1) "
    "SELECT (SELECT is_mine FROM sweeper) AS is_mine, (SELECT count(*) FROM gone) AS deleted";

std::string bucket_text(const std::string& digest) {
  return std::to_string(bucket_of_natural_key(digest));
}

std::string json_of(const google::protobuf::Map<std::string, std::string>& attributes) {
  auto json = nlohmann::json::object();
  for (const auto& [name, value] : attributes) json[name] = value;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Status read_attributes(std::string_view text, pb::Session& session) {
  auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return fail(ErrorCode::kCorrupt, "attributes: not a JSON object");
  for (const auto& [name, value] : json.items()) {
    if (!value.is_string()) return fail(ErrorCode::kCorrupt, "attributes: the value of \"" + name + "\" is no text");
    (*session.mutable_attributes())[name] = value.get<std::string>();
  }
  return {};
}

// By the row alone: kTouchInterval of grace, then kSweepDelay for clocks that differ.
std::string ended_before(UnixMillis now) {
  return std::to_string(now.value - (kTouchInterval + kSweepDelay).count());
}

}  // namespace

const char* const kSelectSession =
    "SELECT token_digest, customer_id, created_ms, touched_ms, idle_timeout_ms, expires_ms, attributes, row_version "
    "FROM session.session WHERE bucket = $1::int AND token_digest = $2";
const char* const kSelectSessions =
    "SELECT s.bucket, s.token_digest, s.customer_id, s.created_ms, s.touched_ms, s.idle_timeout_ms, s.expires_ms, "
    "s.attributes, s.row_version "
    "FROM session.session s JOIN unnest($1::int[], $2::text[]) AS k(bucket, token_digest) USING (bucket, token_digest)";

Result<pb::Session> session_of_row(const client::Row& row) {
  pb::Session session;
  std::optional<Error> error;
  auto number = [&](const char* column) -> int64_t {
    auto value = row.integer(column);
    if (!value && !error) error = value.error();
    return value.value_or(0);
  };
  session.set_customer_id(number("customer_id"));
  session.set_created_ms(number("created_ms"));
  session.set_touched_ms(number("touched_ms"));
  session.set_idle_timeout_ms(number("idle_timeout_ms"));
  session.set_expires_ms(number("expires_ms"));
  session.set_row_version(number("row_version"));
  auto attributes = row.text("attributes");
  if (!attributes && !error) error = attributes.error();
  if (!error) {
    if (Status read = read_attributes(*attributes, session); !read) error = read.error();
  }
  if (error) return std::unexpected(error->with_context("session.session"));
  return session;
}

shardrouter::Statement insert_session(const std::string& digest, const pb::Session& session) {
  return {.sql = kInsert,
          .params = {bucket_text(digest), digest, std::to_string(session.customer_id()),
                     std::to_string(session.created_ms()), std::to_string(session.touched_ms()),
                     std::to_string(session.idle_timeout_ms()), std::to_string(session.expires_ms()),
                     json_of(session.attributes())}};
}

shardrouter::Statement touch_session(const std::string& digest, UnixMillis now) {
  return {.sql = kTouch,
          .params = {bucket_text(digest), digest, std::to_string(now.value),
                     std::to_string(now.value - kTouchInterval.count())}};
}

shardrouter::Statement delete_session(const std::string& digest) {
  return {.sql = kDelete, .params = {bucket_text(digest), digest}};
}

shardrouter::Statement select_ended(UnixMillis now, size_t limit) {
  return {.sql = kSelectEnded, .params = {ended_before(now), std::to_string(limit)}};
}

shardrouter::Statement delete_ended(const std::vector<EndedSession>& ended, UnixMillis now) {
  std::string buckets, digests;  // digits only: no quotes are needed in the array literals
  for (const EndedSession& session : ended) {
    if (!buckets.empty()) buckets += ',', digests += ',';
    buckets += std::to_string(session.bucket);
    digests += session.digest;
  }
  return {.sql = kDeleteEnded, .params = {"{" + buckets + "}", "{" + digests + "}", ended_before(now)}};
}

}  // namespace tidemark::session
