#include "tools/shards/fleet/verb_sql.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/id/row_id.h"
#include "base/io/topology_store_file.h"
#include "base/parse.h"
#include "shardrouter/routing/bucket_map.h"
#include "shardrouter/schema/sql_text.h"
#include "shardrouter/sql/schema/shard_schema.h"
#include "tools/shards/pg_session.h"

namespace tidemark::shards {
namespace {

using shardrouter::BucketMap;
using shardrouter::ResultSet;

constexpr int kRedirectsMax = 4;  // a bucket that moves twice while we ask is not a stale map any more

Result<Bucket> bucket_of(const SqlArguments& arguments) {
  const int given = !arguments.key.empty() + !arguments.bucket.empty() + !arguments.row_id.empty();
  if (given != 1)
    return fail(ErrorCode::kInvalidArgument, "exactly one of --key, --bucket and --row-id says where the rows are");
  if (!arguments.key.empty()) return bucket_of_slot(slot_of_key(arguments.key));
  if (!arguments.bucket.empty()) {
    const auto bucket = parse_u64(arguments.bucket);
    if (!bucket || *bucket >= kBucketCount)
      return fail(ErrorCode::kInvalidArgument, fmt::format("--bucket {}: 0 to {}", arguments.bucket, kBucketCount - 1));
    return static_cast<Bucket>(*bucket);
  }
  const auto id = parse_i64(arguments.row_id);
  if (!id) return fail(ErrorCode::kInvalidArgument, fmt::format("--row-id {} is no number", arguments.row_id));
  const Status is_id = check_row_id(*id, "--row-id");
  if (!is_id) return std::unexpected(is_id.error());
  return bucket_of_row_id(*id);
}

// ":bucket" outside quotes and comments becomes the number; "::bucket" is a cast and stays.
Result<std::string> with_bucket(const std::string& text, Bucket bucket) {
  const auto statements = shardrouter::split_statements(text);
  if (!statements) return std::unexpected(statements.error());
  if (statements->size() != 1)
    return fail(ErrorCode::kInvalidArgument, fmt::format("one statement is run, {} are given", statements->size()));
  const shardrouter::SqlStatement& one = statements->front();
  std::string out;
  size_t from = 0;
  for (size_t i = 0; i + 1 < one.tokens.size(); ++i) {
    const auto& colon = one.tokens[i];
    const auto& word = one.tokens[i + 1];
    const bool is_cast = i > 0 && one.tokens[i - 1].is(":") && one.tokens[i - 1].end == colon.begin;
    if (!colon.is(":") || is_cast || !word.is("bucket") || word.begin != colon.end) continue;
    out += one.text.substr(from, colon.begin - from) + std::to_string(bucket);
    from = word.end;
  }
  return out + one.text.substr(from);
}

Status refuse_what_ends_the_transaction(const std::string& statement) {
  static const std::vector<std::string> kWords{"begin",   "start", "commit",  "end",       "rollback", "abort",
                                               "prepare", "set",   "declare", "savepoint", "release",  "discard"};
  const auto parsed = shardrouter::split_statements(statement);
  if (!parsed || parsed->empty()) return fail(ErrorCode::kInvalidArgument, "no statement is given");
  const std::string& first = parsed->front().tokens[0].text;
  if (std::ranges::find(kWords, first) == kWords.end()) return {};
  return fail(ErrorCode::kInvalidArgument, first + ": the statement runs in a transaction of its own");
}

// What a shard said about its bucket, in an error that may go on behind it with a hint.
std::optional<shardrouter::BucketRefusal> refusal_in(const Error& error) {
  const size_t at = error.message.find("state=");
  if (error.message.find("SH001") == std::string::npos || at == std::string::npos) return std::nullopt;
  const auto words = split(std::string_view(error.message).substr(at), ' ');
  if (words.size() < 3) return std::nullopt;
  return shardrouter::BucketRefusal::parse(fmt::format("{} {} {}", words[0], words[1], words[2]));
}

class Asker {
 public:
  Asker(const SqlArguments& arguments, Bucket bucket, std::string statement)
      : arguments_(arguments), bucket_(bucket), statement_(std::move(statement)) {}

  Result<ResultSet> ask() {
    const auto store = io::open_topology_store(arguments_.topology);
    if (!store) return std::unexpected(store.error());
    const auto topology = store->load();
    if (!topology) return std::unexpected(topology.error());
    BucketMap map(*topology);
    for (int i = 0; i <= kRedirectsMax; ++i) {
      const auto owner = map.find(bucket_);
      if (!owner) return fail(ErrorCode::kFailedPrecondition, "the topology has no shards: run tidemark-shards init");
      auto set = ask_shard(*topology, *owner);
      if (set) return set;
      const auto refusal = refusal_in(set.error());
      if (!refusal) return set;
      const auto heal = map.heal(bucket_, owner->shard, owner->epoch, *refusal);
      if (heal != BucketMap::Heal::kRetry) return set;
    }
    return fail(ErrorCode::kAborted,
                fmt::format("bucket {} moved {} times while it was asked for", bucket_, kRedirectsMax));
  }

 private:
  Result<ResultSet> ask_shard(const Topology& topology, const BucketOwner& owner) {
    const Shard* shard = topology.find_shard(owner.shard);
    if (!shard) return fail(ErrorCode::kFailedPrecondition, fmt::format("the topology has no shard {}", owner.shard));
    const ShardServer* server = shard->primary();
    if (arguments_.has_replica_wish)
      for (const ShardServer& one : shard->servers)
        if (one.role == ShardServer::Role::kReplica) server = &one;
    if (!server) return fail(ErrorCode::kFailedPrecondition, fmt::format("shard {} has no primary", owner.shard));
    const std::string role(arguments_.may_write ? shardrouter::kAppRole : shardrouter::kAdminRole);
    auto session = PgSession::connect(server->name, server->conninfo + " user=" + role, arguments_.passfile);
    if (!session) return std::unexpected(session.error());
    fmt::print(stderr, "-- bucket {} on shard {} ({}, epoch {})\n", bucket_, owner.shard, server->name, owner.epoch);
    Status done;
    if (arguments_.may_write) done = session->run("SELECT tidemark.open_incarnation()");
    if (done) done = session->run(arguments_.may_write ? "BEGIN" : "BEGIN READ ONLY");
    if (done) done = session->run("SELECT set_config('statement_timeout', $1, true)", {arguments_.timeout});
    if (!done) return std::unexpected(done.error());
    if (arguments_.may_write) done = guard(*session, owner);
    if (!done) return std::unexpected(done.error());
    auto set = session->query(statement_);
    if (!set && !arguments_.may_write && set.error().message.find("25006") != std::string::npos)
      return fail(ErrorCode::kInvalidArgument, set.error().message + ": give --write if you mean it");
    if (!set) return set;
    // Asked after the rows: who owns the bucket still now has owned it while they were read.
    if (!arguments_.may_write) done = still_owned(*session, owner);
    if (done) done = session->run("COMMIT");
    if (!done) return std::unexpected(done.error());
    return set;
  }

  Status guard(PgSession& session, const BucketOwner& owner) {
    return session.run("SELECT shard.guard($1::int, $2::bigint)",
                       {std::to_string(bucket_), std::to_string(owner.epoch)});
  }
  Status still_owned(PgSession& session, const BucketOwner& owner) {
    const auto row =
        session.query("SELECT state, epoch, coalesce(forward, '-') FROM shard.bucket WHERE bucket = $1::int",
                      {std::to_string(bucket_)});
    if (!row) return std::unexpected(row.error());
    const std::vector<std::optional<std::string>> absent{"absent", "0", "-"};
    const auto& cells = row->rows.empty() ? absent : row->rows[0];
    if (cells[0] == "owned" && cells[1] == std::to_string(owner.epoch)) return {};
    return fail(ErrorCode::kFailedPrecondition,
                fmt::format("SH001 bucket {} is not owned there: state={} epoch={} forward={}", bucket_,
                            cells[0].value_or(""), cells[1].value_or("0"), cells[2].value_or("-")));
  }

  const SqlArguments& arguments_;
  Bucket bucket_;
  std::string statement_;
};

void print_json(const ResultSet& set) {
  nlohmann::ordered_json json{{"command", set.command_tag}, {"rows", nlohmann::ordered_json::array()}};
  for (const auto& row : set.rows) {
    auto& object = json["rows"].emplace_back(nlohmann::ordered_json::object());
    for (size_t c = 0; c < row.size(); ++c)
      object[set.columns[c]] = row[c] ? nlohmann::ordered_json(*row[c]) : nlohmann::ordered_json(nullptr);
  }
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

void print_table(const ResultSet& set) {
  if (set.columns.empty()) {
    fmt::print("{}\n", set.command_tag);
    return;
  }
  std::vector<size_t> widths;
  for (const std::string& column : set.columns) widths.push_back(column.size());
  for (const auto& row : set.rows)
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c] ? row[c]->size() : 0);
  const auto print_line = [&](const auto& cell) {
    std::string line;
    for (size_t c = 0; c < widths.size(); ++c) line += fmt::format("{}{:<{}}", c == 0 ? "" : "  ", cell(c), widths[c]);
    while (!line.empty() && line.back() == ' ') line.pop_back();
    fmt::print("{}\n", line);
  };
  print_line([&](size_t c) { return set.columns[c]; });
  for (const auto& row : set.rows) print_line([&](size_t c) { return row[c].value_or(""); });
  fmt::print("({} rows)\n", set.rows.size());
}

}  // namespace

void declare(io::Options& verb, SqlArguments& arguments) {
  verb.positional("statement", arguments.statement, true,
                  "one SQL statement; \":bucket\" in it is the bucket's number");
  verb.text("topology", arguments.topology, "topology store, file:DIR");
  verb.text("passfile", arguments.passfile, "libpq passfile with tidemark_admin (--write: tidemark_app)");
  verb.text("key", arguments.key, "a cache key or a natural key: its bucket");
  verb.text("bucket", arguments.bucket, "the bucket's number");
  verb.text("row-id", arguments.row_id, "a row id that the routers made: its bucket");
  verb.flag("write", arguments.may_write, "allow the statement to write");
  verb.flag("replica", arguments.has_replica_wish, "read at a replica, which may be behind");
  verb.text("timeout", arguments.timeout, "statement_timeout");
  verb.choice("format", arguments.format, {"table", "json"}, "how to print");
  verb.require("topology");
}

Status run_sql(const SqlArguments& arguments) {
  if (arguments.may_write && arguments.has_replica_wish)
    return fail(ErrorCode::kInvalidArgument, "--write and --replica exclude each other");
  const auto bucket = bucket_of(arguments);
  if (!bucket) return std::unexpected(bucket.error());
  auto statement = with_bucket(arguments.statement, *bucket);
  if (!statement) return std::unexpected(statement.error());
  const Status alone = refuse_what_ends_the_transaction(*statement);
  if (!alone) return alone;
  const auto set = Asker(arguments, *bucket, *statement).ask();
  if (!set) return std::unexpected(set.error());
  if (arguments.format == "json")
    print_json(*set);
  else
    print_table(*set);
  return {};
}

}  // namespace tidemark::shards
