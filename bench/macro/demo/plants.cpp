#include "bench/macro/demo/plants.h"

#include <fmt/format.h>
#include <signal.h>

#include "base/parse.h"
#include "tools/localcluster/process.h"

namespace tidemark::bench {
namespace {

// With the signature of services/catalog/schema.sql: its grants stay.
constexpr const char* kReserveBlindly = R"sql(
CREATE OR REPLACE FUNCTION catalog.reserve(for_bucket int, for_sku text, for_order bigint, want bigint, ttl_ms bigint,
                                           OUT outcome text, OUT price bigint)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  SELECT price_cents INTO price FROM catalog.product WHERE bucket = for_bucket AND sku = for_sku;
  INSERT INTO catalog.reservation (bucket, sku, order_id, quantity, price_cents, state, expires_at)
  VALUES (for_bucket, for_sku, for_order, want, price, 'held', clock_timestamp() + ttl_ms * interval '1 ms')
  ON CONFLICT DO NOTHING;
  IF FOUND THEN
    UPDATE catalog.product SET stock = stock - want WHERE bucket = for_bucket AND sku = for_sku;
  END IF;
  outcome := 'reserved';
END $$)sql";

}  // namespace

Status make_commits_volatile(const localcluster::LocalCluster& cluster, const std::string& primary) {
  for (const char* sql :
       {"ALTER SYSTEM SET synchronous_commit = off", "ALTER SYSTEM SET wal_writer_delay = '10s'",
        "ALTER SYSTEM SET full_page_writes = off",  // small records: many commits in the unwritten page
        "SELECT pg_reload_conf()"}) {
    if (auto done = cluster.psql(primary, sql); !done) return std::unexpected(done.error());
  }
  return {};
}

Status stop_writing_the_log(const localcluster::LocalCluster& cluster, const std::string& primary) {
  const auto text = cluster.psql(primary, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'");
  if (!text) return std::unexpected(text.error());
  const auto pid = parse_i64(*text);
  if (!pid || *pid <= 1) return fail(ErrorCode::kInternal, fmt::format("{} has no walwriter: '{}'", primary, *text));
  return localcluster::send_signal(localcluster::identify(static_cast<int>(*pid)), SIGSTOP);
}

Status forget_to_look_at_the_stock(const localcluster::LocalCluster& cluster,
                                   const std::vector<std::string>& primaries) {
  for (const std::string& primary : primaries) {
    for (const char* sql : {"ALTER TABLE catalog.product DROP CONSTRAINT product_stock_check", kReserveBlindly}) {
      if (auto done = cluster.psql(primary, sql); !done)
        return std::unexpected(done.error().with_context("--plant oversell on " + primary));
    }
  }
  return {};
}

}  // namespace tidemark::bench
