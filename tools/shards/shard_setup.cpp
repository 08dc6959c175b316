#include "tools/shards/shard_setup.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <array>

#include "base/parse.h"
#include "shardrouter/schema/schema_sql.h"
#include "shardrouter/sql/schema/move_schema.h"
#include "shardrouter/sql/schema/shard_schema.h"

namespace tidemark::shards {
namespace {

using shardrouter::BucketRow;

constexpr int kServerVersionMin = 150000;
constexpr std::array kRoles{shardrouter::kAppRole, shardrouter::kInvalidatorRole, shardrouter::kAdminRole};

struct Conninfo {
  std::string database;
  std::string for_maintenance;  // the same, to the database `postgres`
};

Result<Conninfo> split_conninfo(const std::string& text) {
  char* message = nullptr;
  PQconninfoOption* options = PQconninfoParse(text.c_str(), &message);
  if (!options) {
    const std::string why(message ? message : "out of memory");
    PQfreemem(message);
    return fail(ErrorCode::kInvalidArgument, "conninfo \"" + text + "\": " + why);
  }
  Conninfo info;
  for (const PQconninfoOption* option = options; option->keyword; ++option)
    if (std::string_view(option->keyword) == "dbname" && option->val) info.database = option->val;
  PQconninfoFree(options);
  if (info.database.empty()) return fail(ErrorCode::kInvalidArgument, "conninfo \"" + text + "\" names no dbname");
  info.for_maintenance = text + " dbname=postgres";  // the last one wins
  return info;
}

Status create_database(const AdminShard& shard, const Conninfo& info) {
  auto session = PgSession::connect(fmt::format("shard {}", shard.shard.id), info.for_maintenance);
  if (!session) return std::unexpected(session.error());
  const auto exists = session->value("SELECT count(*) FROM pg_database WHERE datname = $1", {info.database});
  if (!exists) return std::unexpected(exists.error());
  if (*exists != "0") return {};
  return session->run("CREATE DATABASE " + session->quote(info.database));
}

Status add_to_publication(PgSession& session, const std::string& table) {
  const auto is_in = session.value(
      "SELECT count(*) FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid "
      "WHERE p.pubname = 'tidemark' AND r.prrelid = to_regclass($1)",
      {table});
  if (!is_in) return std::unexpected(is_in.error());
  if (*is_in != "0") return {};
  const auto name = session.value("SELECT to_regclass($1)::text", {table});
  if (!name) return std::unexpected(name.error());
  return session.run("ALTER PUBLICATION tidemark ADD TABLE " + *name);
}

struct PlacedTable {
  std::string schema;
  std::string table;  // quoted where it must be, with its schema where that is not in the search path
};
Result<PlacedTable> place_of(PgSession& session, const std::string& table) {
  const auto row = session.query(
      "SELECT n.nspname, c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
      "WHERE c.oid = to_regclass($1)",
      {table});
  if (!row) return std::unexpected(row.error());
  if (row->rows.empty())
    return fail(ErrorCode::kNotFound, "table " + table + " does not exist: create it by --schema FILE.sql");
  return PlacedTable{row->rows[0][0].value_or(""), row->rows[0][1].value_or("")};
}

Status grant_schema(PgSession& session, const PlacedTable& table) {
  return session.run(fmt::format("GRANT USAGE ON SCHEMA {} TO tidemark_app, tidemark_invalidator, tidemark_admin",
                                 session.quote(table.schema)));
}

// A database belongs to one shard for good: two that were mixed up would each own what the other holds.
Status claim_identity(PgSession& session, ShardId shard) {
  const auto known = session.value("SELECT shard FROM shard.identity");
  if (!known) return std::unexpected(known.error());
  if (known->empty()) return session.run("INSERT INTO shard.identity (shard) VALUES ($1)", {std::to_string(shard)});
  if (*known == std::to_string(shard)) return {};
  return fail(
      ErrorCode::kFailedPrecondition,
      fmt::format("this database is shard {}, the shards file calls it shard {}: correct the file", *known, shard));
}

Status create_all(PgSession& session, ShardId shard, const ApplicationSchema& schema) {
  Status done = session.run(
      "SELECT pg_advisory_xact_lock(7009, 0)");  // two runs of init at once; (7004, shard) is the invalidator's
  if (!done) return done;
  const auto built_in = session.script(std::string(shardrouter::shard_schema_sql()));
  if (!built_in) return std::unexpected(built_in.error().with_context("shard.sql"));
  const auto for_moves = session.script(std::string(shardrouter::move_schema_sql()));
  if (!for_moves) return std::unexpected(for_moves.error().with_context("move.sql"));
  const auto for_migrations = session.script(std::string(shardrouter::migration_schema_sql()));
  if (!for_migrations) return std::unexpected(for_migrations.error().with_context("schema.sql"));
  done = claim_identity(session, shard);
  if (!done) return done;
  for (const auto& [name, text] : schema.files) {
    const auto ran = session.script(text);
    if (!ran) return std::unexpected(ran.error().with_context(name));
  }
  for (const std::string& table : schema.tables) {
    if (!done) return done;
    done = adopt_table(session, table);
  }
  return done;
}

}  // namespace

Status adopt_table(PgSession& session, const std::string& table) {
  const auto name = place_of(session, table);
  if (!name) return std::unexpected(name.error());
  Status done = session.run("SELECT shard.protect_table(to_regclass($1))", {table});
  if (done) done = add_to_publication(session, table);
  if (done) done = grant_schema(session, *name);
  if (done) done = session.run(fmt::format("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO tidemark_app", name->table));
  if (done) done = session.run(fmt::format("GRANT SELECT ON {} TO tidemark_invalidator, tidemark_admin", name->table));
  return done;
}

Status adopt_reference(PgSession& session, const std::string& table, ShardId original) {
  const auto name = place_of(session, table);
  if (!name) return std::unexpected(name.error());
  Status done =
      session.run("SELECT shard.declare_reference(to_regclass($1), $2::int)", {table, std::to_string(original)});
  if (done) done = grant_schema(session, *name);
  // Whoever may write it is told by its trigger on which shard.
  if (done) done = session.run(fmt::format("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO tidemark_app", name->table));
  if (done) done = session.run(fmt::format("GRANT SELECT ON {} TO tidemark_invalidator, tidemark_admin", name->table));
  return done;
}

Result<PgSession> connect_owner(const AdminShard& shard) {
  const auto info = split_conninfo(shard.admin);
  if (!info) return std::unexpected(info.error());
  const std::string name = fmt::format("shard {}", shard.shard.id);
  auto session = PgSession::connect(name, shard.admin);
  if (session || session.error().message.find("does not exist") == std::string::npos) return session;
  const Status created = create_database(shard, *info);
  if (!created) return std::unexpected(created.error());
  return PgSession::connect(name, shard.admin);
}

Status check_server(PgSession& session) {
  const auto row = session.query(
      "SELECT current_setting('server_version_num'), pg_is_in_recovery(), current_setting('wal_level'), "
      "current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots WHERE slot_name <> "
      "'tidemark'), "
      "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user), current_setting('server_version')");
  if (!row) return std::unexpected(row.error());
  const auto& cells = row->rows[0];
  if (parse_i64(cells[0].value_or("0")).value_or(0) < kServerVersionMin)
    return fail(ErrorCode::kFailedPrecondition, "PostgreSQL " + cells[5].value_or("?") + ": 15 or newer is needed");
  if (cells[1] == "t")
    return fail(ErrorCode::kFailedPrecondition, "this server is a replica: give the primary as \"admin\"");
  if (cells[2] != "logical")
    return fail(ErrorCode::kFailedPrecondition,
                "wal_level is " + cells[2].value_or("?") +
                    ": set wal_level = logical in postgresql.conf and restart the server");
  if (parse_i64(cells[3].value_or("0")).value_or(0) < 1)
    return fail(ErrorCode::kResourceExhausted,
                "no replication slot is free: raise max_replication_slots and restart the server");
  if (cells[4] != "t")
    return fail(ErrorCode::kFailedPrecondition,
                "the user of \"admin\" is not a superuser: roles, publication and slot need one");
  return {};
}

Status create_objects(PgSession& session, ShardId shard, const ApplicationSchema& schema) {
  Status done = session.run("BEGIN");
  if (!done) return done;
  done = create_all(session, shard, schema);
  if (done) return session.run("COMMIT");
  (void)session.run("ROLLBACK");
  return done;
}

Result<int64_t> open_for_writes(PgSession& session) {
  const Status slot = session.run(
      "SELECT pg_create_logical_replication_slot('tidemark', 'pgoutput') "
      "WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'tidemark')");
  if (!slot) return std::unexpected(slot.error());
  const auto epoch = session.value("SELECT tidemark.open_incarnation()");
  if (!epoch) return std::unexpected(epoch.error());
  return parse_i64(*epoch).value_or(0);
}

Result<std::vector<std::string>> roles_with_password(PgSession& session) {
  const auto set =
      session.query("SELECT rolname FROM pg_authid WHERE rolname LIKE 'tidemark\\_%' AND rolpassword IS NOT NULL");
  if (!set) return std::unexpected(set.error());
  std::vector<std::string> roles;
  for (const auto& row : set->rows) roles.push_back(row[0].value_or(""));
  return roles;
}

Status set_passwords(PgSession& session, const Passwords& passwords) {
  // Even a verifier has no business in a log.
  Status done = session.run("SET log_statement = 'none'");
  if (done) done = session.run("SET log_min_duration_statement = -1");
  if (done) done = session.run("SET log_min_error_statement = 'panic'");
  for (const std::string_view name : kRoles) {
    if (!done) return done;
    const std::string role(name);
    const auto verifier = session.scram_verifier(role, passwords.get(role));
    if (!verifier) return std::unexpected(verifier.error());
    // A verifier holds letters, digits and "$:+/=-" only.
    done = session.run("ALTER ROLE " + session.quote(role) + " PASSWORD '" + *verifier + "'");
  }
  return done;
}

Result<std::vector<BucketRow>> read_bucket_rows(PgSession& session) {
  const auto set = session.query("SELECT bucket, state, epoch, forward FROM shard.bucket ORDER BY bucket");
  if (!set) return std::unexpected(set.error());
  std::vector<BucketRow> rows;
  for (const auto& cells : set->rows) {
    const auto bucket = parse_u64(cells[0].value_or(""));
    const auto state = shardrouter::parse_bucket_state(cells[1].value_or(""));
    const auto epoch = parse_u64(cells[2].value_or(""));
    if (!bucket || !state || !epoch)
      return fail(ErrorCode::kCorrupt, "shard.bucket: row " + cells[0].value_or("?") + " cannot be read");
    BucketRow row{static_cast<Bucket>(*bucket), *state, static_cast<BucketEpoch>(*epoch), std::nullopt};
    if (const auto forward = cells[3] ? parse_u64(*cells[3]) : std::nullopt)
      row.forward = static_cast<ShardId>(*forward);
    rows.push_back(row);
  }
  return rows;
}

Status insert_bucket_rows(PgSession& session, const std::vector<BucketRow>& rows) {
  std::string buckets = "{", states = "{", epochs = "{", forwards = "{";
  for (const BucketRow& row : rows) {
    const std::string_view comma = buckets.size() > 1 ? "," : "";
    buckets += fmt::format("{}{}", comma, row.bucket);
    states += fmt::format("{}{}", comma, shardrouter::to_string(row.state));
    epochs += fmt::format("{}{}", comma, row.epoch);
    forwards += fmt::format("{}{}", comma, row.forward ? std::to_string(*row.forward) : "NULL");
  }
  return session.run(
      "INSERT INTO shard.bucket (bucket, state, epoch, forward) "
      "SELECT * FROM unnest($1::int[], $2::text[], $3::bigint[], $4::text[]) ON CONFLICT (bucket) DO NOTHING",
      {buckets + "}", states + "}", epochs + "}", forwards + "}"});
}

}  // namespace tidemark::shards
