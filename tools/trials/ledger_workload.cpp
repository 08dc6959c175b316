#include "tools/trials/ledger_workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_map>

#include "base/io/topology_store_file.h"
#include "base/parse.h"
#include "shardrouter/routing/bucket_map.h"
#include "tools/shards/move/pg_link.h"

namespace tidemark::trials {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using shardrouter::BucketMap;
using shards::PgLink;
using shards::sqlstate_of;

const char* const kSchemaSql = R"(
CREATE TABLE IF NOT EXISTS public.account (bucket int NOT NULL, id bigint NOT NULL, counter bigint NOT NULL,
  name text NOT NULL, note text, doubled bigint GENERATED ALWAYS AS (counter * 2) STORED, PRIMARY KEY (bucket, id));
CREATE TABLE IF NOT EXISTS public.entry (bucket int NOT NULL, account_id bigint NOT NULL, seq int NOT NULL,
  amount bigint NOT NULL, PRIMARY KEY (bucket, account_id, seq),
  FOREIGN KEY (bucket, account_id) REFERENCES public.account (bucket, id));
CREATE TABLE IF NOT EXISTS public.a_label (bucket int NOT NULL, account_id bigint NOT NULL, label text NOT NULL,
  PRIMARY KEY (bucket, account_id), FOREIGN KEY (bucket, account_id) REFERENCES public.account (bucket, id));
)";

std::vector<std::string> schema_tables() {
  return {"public.account", "public.entry", "public.a_label"};
}

namespace {

constexpr int64_t kRowsPerWriter = 1'000'000'000;  // ids of one writer
constexpr int64_t kFillIds = 1'000'000'000'000;    // ids that no writer has
constexpr auto kGiveUp = 60s;                      // one write, retries included
constexpr size_t kFindingsMax = 10;
constexpr int kAccountsPerBucket = 40;  // of one writer

double p99_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[values.size() * 99 / 100];
}

// What a writer knows of a row. Counter 0: there never was one; below 0: deleted, the number goes on.
struct Entry {
  std::atomic<int64_t> acknowledged{0};
  std::optional<int64_t> unknown;  // a commit without an answer would have left this
};

std::string big_note(int64_t counter) {
  // Stored out of line: an update of another column leaves it out of the stream.
  std::string note;
  std::mt19937_64 random(static_cast<uint64_t>(counter));
  while (note.size() < 6000) note += fmt::format("{:016x}", random());
  return note;
}

// A connection that comes back by itself.
class Caller {
 public:
  Caller(std::string conninfo, std::string passfile) : conninfo_(std::move(conninfo)), passfile_(std::move(passfile)) {}
  Result<shardrouter::ResultSet> ask(const std::string& sql) {
    if (!link_) {
      auto link =
          PgLink::connect("shard", conninfo_ + (passfile_.empty() ? "" : " user=tidemark_app passfile=" + passfile_));
      if (!link) return std::unexpected(link.error());
      if (!passfile_.empty()) (void)link->run("SELECT tidemark.open_incarnation()");
      link_.emplace(std::move(*link));
    }
    auto set = link_->script(sql);
    if (set) return set;
    const std::string state = sqlstate_of(set.error());
    const bool is_lost = state.empty() || state.starts_with("08") || state.starts_with("57P");
    if (is_lost || state == "SH004")
      link_.reset();
    else
      (void)link_->script("ROLLBACK");
    if (is_lost)
      return fail(ErrorCode::kOutcomeUnknown, set.error().message);  // it was sent; a COMMIT may have happened
    return set;
  }

 private:
  std::string conninfo_, passfile_;
  std::optional<PgLink> link_;
};

}  // namespace

struct LedgerWorkload::Impl {
  explicit Impl(WorkloadOptions given) : options(std::move(given)) {}

  struct Writer {
    int index = 0;
    std::mt19937_64 random;
    std::vector<Caller> shards;
    BucketMap map;
    std::map<std::pair<int, int64_t>, Entry> rows;  // (bucket, id); filled before the threads start
    std::vector<double> other_ms, other_ms_before;
    int64_t writes = 0, refusals = 0, unknown = 0;
  };

  WorkloadOptions options;
  std::vector<std::unique_ptr<Writer>> writers;
  std::vector<std::jthread> threads;
  std::atomic<bool> is_stopping{false}, have_moves_begun{false};
  std::atomic<int64_t> writes{0}, reads{0}, stale_reads{0}, both_own{0}, looks{0};
  std::atomic<int64_t> stall_us{0}, stall_us_total{0};
  std::mutex mutex;
  std::vector<std::string> findings;

  void find(std::string text) {
    const std::scoped_lock lock(mutex);
    if (findings.size() < kFindingsMax) findings.push_back(std::move(text));
  }
  Result<Topology> topology() const {
    const auto store = io::open_topology_store(options.topology);
    if (!store) return std::unexpected(store.error());
    return store->load();
  }
  std::vector<Caller> callers() const {
    std::vector<Caller> list;
    for (const std::string& conninfo : options.conninfos) list.emplace_back(conninfo, options.passfile);
    return list;
  }
  void run_writer(Writer& writer);
  void write_once(Writer& writer);
  void run_reader(int index);
  void run_watch();
  std::string statement(Writer& writer, int bucket, int64_t id, int64_t before, int64_t after) const;
};

// The whole transaction as one message.
std::string LedgerWorkload::Impl::statement(Writer& writer, int bucket, int64_t id, int64_t before,
                                            int64_t after) const {
  if (after == 0)
    return fmt::format(
        "DELETE FROM a_label WHERE bucket = {0} AND account_id = {1}; DELETE FROM entry WHERE bucket = {0} "
        "AND account_id = {1}; DELETE FROM account WHERE bucket = {0} AND id = {1};",
        bucket, id);
  if (before == 0)
    return fmt::format(
        "INSERT INTO account (bucket, id, counter, name, note) VALUES ({0}, {1}, {2}, 'w{3}', '{4}'); "
        "INSERT INTO entry VALUES ({0}, {1}, 1, {2}); INSERT INTO a_label VALUES ({0}, {1}, 'l');",
        bucket, id, after, writer.index, big_note(after));
  return fmt::format(
      "UPDATE account SET counter = {2} WHERE bucket = {0} AND id = {1}; "
      "INSERT INTO entry VALUES ({0}, {1}, {2} % 2147483647, {2});",
      bucket, id, after);
}

void LedgerWorkload::Impl::write_once(Writer& writer) {
  const bool is_moving = writer.random() % 2 == 0;
  const int lo = is_moving ? options.bucket_lo : options.other_lo;
  const int count = (is_moving ? options.bucket_hi : options.other_hi) - lo + 1;
  const int bucket = lo + static_cast<int>(writer.random() % static_cast<uint64_t>(count));
  const int64_t id = writer.index * kRowsPerWriter + static_cast<int64_t>(writer.random() % kAccountsPerBucket) + 1;
  Entry& entry = writer.rows.at({bucket, id});
  if (entry.unknown) return;  // left alone, so that the outcome can still be told at the end
  const int64_t before = entry.acknowledged;
  // Counters only grow; now and then the row goes and comes back. 0 is "no row", so a deletion is remembered by sign.
  const int64_t base = before < 0 ? -before : before;
  const bool deletes = before > 0 && writer.random() % 10 == 0;
  const int64_t after = deletes ? -(base + 1) : base + 1;
  const std::string sql = statement(writer, bucket, id, before < 0 ? 0 : before, after < 0 ? 0 : after);
  const auto start = Clock::now();
  while (true) {
    const auto owner = writer.map.find(static_cast<Bucket>(bucket));
    if (!owner || owner->shard >= writer.shards.size()) return;
    const auto set = writer.shards[owner->shard].ask(
        fmt::format("BEGIN; SELECT shard.guard({}, {}); {} COMMIT", bucket, owner->epoch, sql));
    if (set) {
      if (set->command_tag != "COMMIT") find("a transaction ended with " + set->command_tag);
      entry.acknowledged = after;
      break;
    }
    const auto refusal = shardrouter::refusal_of(set.error());
    const std::string state = sqlstate_of(set.error());
    const bool may_have_happened = set.error().code == ErrorCode::kOutcomeUnknown;
    if (refusal) {
      ++writer.refusals;
      const auto heal = writer.map.heal(static_cast<Bucket>(bucket), owner->shard, owner->epoch, *refusal);
      if (heal == BucketMap::Heal::kWait) std::this_thread::sleep_for(500us);
      if (heal == BucketMap::Heal::kRefresh) {
        if (const auto newest = topology()) writer.map.merge(*newest);
        std::this_thread::sleep_for(1ms);
      }
    } else if (may_have_happened) {
      ++writer.unknown;
      entry.unknown = after;
      return;
    } else if (Clock::now() - start > kGiveUp) {
      find(fmt::format("bucket {}: no write in {} s: {}", bucket, kGiveUp.count(), set.error().message));
      return;
    } else {
      if (state != "SH004" && !state.empty() && !state.starts_with("57") && !state.starts_with("40"))
        find("write: " + set.error().message);
      std::this_thread::sleep_for(5ms);
    }
    if (is_stopping && Clock::now() - start > kGiveUp) return;
  }
  const int64_t took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count();
  if (is_moving) {
    for (auto* longest : {&stall_us, &stall_us_total}) {
      int64_t known = *longest;
      while (took > known && !longest->compare_exchange_weak(known, took)) continue;
    }
  } else {
    (have_moves_begun ? writer.other_ms : writer.other_ms_before).push_back(static_cast<double>(took) / 1e3);
  }
  ++writer.writes;
  ++writes;
}

void LedgerWorkload::Impl::run_writer(Writer& writer) {
  const auto interval = std::chrono::duration<double>(options.writers / options.writes_per_second);
  auto due = Clock::now();
  while (!is_stopping) {
    write_once(writer);
    due += std::chrono::duration_cast<Clock::duration>(interval);
    if (due < Clock::now() - 1s) due = Clock::now();  // no bursts after a pause
    std::this_thread::sleep_until(due);
  }
}

// A read names the bucket's state in the same snapshot, as every routed read does.
void LedgerWorkload::Impl::run_reader(int index) {
  std::mt19937_64 random(options.seed * 1000 + static_cast<uint64_t>(index));
  auto shards = callers();
  BucketMap map;
  if (const auto newest = topology()) map.merge(*newest);
  const auto interval = std::chrono::duration<double>(options.readers / options.reads_per_second);
  auto due = Clock::now();
  while (!is_stopping) {
    Writer& writer = *writers[random() % writers.size()];
    auto row = writer.rows.begin();
    std::advance(row, static_cast<ptrdiff_t>(random() % writer.rows.size()));
    const auto& [bucket, id] = row->first;
    const int64_t known = row->second.acknowledged;
    const auto owner = map.find(static_cast<Bucket>(bucket));
    if (owner && owner->shard < shards.size()) {
      const auto set = shards[owner->shard].ask(fmt::format(
          "SELECT b.state, b.epoch, b.forward, coalesce(a.counter, 0) FROM shard.bucket b LEFT JOIN account a "
          "ON a.bucket = {0} AND a.id = {1} WHERE b.bucket = {0}",
          bucket, id));
      if (set && !set->rows.empty()) {
        const auto& cells = set->rows[0];
        const auto state = shardrouter::parse_bucket_state(cells[0].value_or(""));
        const auto epoch = static_cast<BucketEpoch>(parse_u64(cells[1].value_or("0")).value_or(0));
        if (state == shardrouter::BucketState::kOwned && epoch == owner->epoch) {
          const int64_t seen = parse_i64(cells[3].value_or("0")).value_or(0);
          ++reads;
          // A deleted row that is seen again later has a larger counter; a row that is not seen may have been deleted
          // since.
          if (seen != 0 && seen < std::abs(known)) {
            ++stale_reads;
            find(fmt::format("bucket {} id {}: read {} at shard {} epoch {}, {} was acknowledged before", bucket, id,
                             seen, owner->shard, epoch, known));
          }
        } else if (state) {
          shardrouter::BucketRefusal refusal{*state, epoch, std::nullopt};
          if (cells[2]) refusal.forward = static_cast<ShardId>(parse_u64(*cells[2]).value_or(0));
          if (map.heal(static_cast<Bucket>(bucket), owner->shard, owner->epoch, refusal) == BucketMap::Heal::kRefresh)
            if (const auto newest = topology()) map.merge(*newest);
        }
      }
    }
    due += std::chrono::duration_cast<Clock::duration>(interval);
    if (due < Clock::now() - 1s) due = Clock::now();
    std::this_thread::sleep_until(due);
  }
}

void LedgerWorkload::Impl::run_watch() {
  std::vector<Caller> admins;
  for (const std::string& admin : options.admins) admins.emplace_back(admin, "");
  const std::string sql = fmt::format(
      "SELECT bucket, state || ' ' || epoch FROM shard.bucket WHERE bucket BETWEEN {} AND {} ORDER BY bucket",
      options.bucket_lo, options.bucket_hi);
  const auto look = [&](Caller& caller) {
    std::map<std::string, std::string> states;
    if (const auto set = caller.ask(sql))
      for (const auto& row : set->rows) states[row[0].value_or("")] = row[1].value_or("");
    return states;
  };
  while (!is_stopping) {
    for (size_t a = 0; a < admins.size(); ++a) {
      for (size_t b = a + 1; b < admins.size(); ++b) {
        const auto first = look(admins[a]);
        const auto other = look(admins[b]);
        const auto second = look(admins[a]);
        ++looks;
        for (const auto& [bucket, state] : first) {
          const auto again = second.find(bucket);
          const auto there = other.find(bucket);
          if (again == second.end() || there == other.end() || again->second != state) continue;
          if (!state.starts_with("owned") || !there->second.starts_with("owned")) continue;
          ++both_own;
          find(fmt::format("bucket {} has two owners: {} at shard {}, {} at shard {}", bucket, state, a, there->second,
                           b));
        }
      }
    }
    std::this_thread::sleep_for(2ms);
  }
}

LedgerWorkload::LedgerWorkload(WorkloadOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
LedgerWorkload::~LedgerWorkload() {
  stop();
}

Status LedgerWorkload::fill(int64_t rows_per_bucket) {
  const WorkloadOptions& o = impl_->options;
  for (size_t shard = 0; shard < o.admins.size(); ++shard) {
    auto link = PgLink::connect(fmt::format("shard {}", shard), o.admins[shard]);
    if (!link) return std::unexpected(link.error());
    // Only buckets that this shard owns.
    const std::string rows = fmt::format(
        "FROM shard.bucket b, generate_series({}, {}) g WHERE b.bucket BETWEEN {} AND {} AND b.state = 'owned'",
        kFillIds, kFillIds + rows_per_bucket - 1, o.bucket_lo, o.bucket_hi);
    const auto filled = link->script(
        "BEGIN; SET LOCAL statement_timeout = 0; INSERT INTO account (bucket, id, counter, name, note) SELECT "
        "b.bucket, g, 1, 'fill', md5(g::text) " +
        rows + "; INSERT INTO entry SELECT b.bucket, g, 1, 1 " + rows +
        "; INSERT INTO a_label SELECT b.bucket, g, 'fill' " + rows + "; COMMIT");
    if (!filled) return std::unexpected(filled.error());
  }
  return {};
}

Status LedgerWorkload::start() {
  const auto topology = impl_->topology();
  if (!topology) return std::unexpected(topology.error());
  WorkloadOptions& o = impl_->options;
  for (int w = 0; w < o.writers; ++w) {
    auto writer = std::make_unique<Impl::Writer>();
    writer->index = w;
    writer->random.seed(o.seed * 100 + static_cast<uint64_t>(w));
    writer->shards = impl_->callers();
    writer->map = BucketMap(*topology);
    for (const auto& [lo, hi] : {std::pair{o.bucket_lo, o.bucket_hi}, {o.other_lo, o.other_hi}})
      for (int bucket = lo; bucket <= hi; ++bucket)
        for (int id = 1; id <= kAccountsPerBucket; ++id) writer->rows[{bucket, w * kRowsPerWriter + id}];
    impl_->writers.push_back(std::move(writer));
  }
  for (auto& writer : impl_->writers) impl_->threads.emplace_back([this, w = writer.get()] { impl_->run_writer(*w); });
  for (int r = 0; r < o.readers; ++r) impl_->threads.emplace_back([this, r] { impl_->run_reader(r); });
  impl_->threads.emplace_back([this] { impl_->run_watch(); });
  return {};
}

void LedgerWorkload::moves_begin() {
  impl_->have_moves_begun = true;
}

void LedgerWorkload::stop() {
  impl_->is_stopping = true;
  impl_->threads.clear();
}

int64_t LedgerWorkload::writes_so_far() const {
  return impl_->writes;
}
double LedgerWorkload::stall_ms_since_last_asked() {
  return static_cast<double>(impl_->stall_us.exchange(0)) / 1e3;
}

Result<WorkloadResult> LedgerWorkload::verify() {
  WorkloadResult result;
  std::map<std::pair<int, int64_t>, std::vector<int64_t>> found;  // every row of a writer, wherever it is
  std::unordered_map<int, int> owners;
  int64_t orphans = 0;
  for (size_t shard = 0; shard < impl_->options.admins.size(); ++shard) {
    auto link = PgLink::connect(fmt::format("shard {}", shard), impl_->options.admins[shard]);
    if (!link) return std::unexpected(link.error());
    const auto rows = link->query(
        "SELECT a.bucket, a.id, a.counter, b.state, (SELECT count(*) FROM entry e WHERE e.bucket = a.bucket AND "
        "e.account_id "
        "= a.id), (SELECT max(amount) FROM entry e WHERE e.bucket = a.bucket AND e.account_id = a.id) "
        "FROM account a JOIN shard.bucket b USING (bucket) WHERE a.id < $1",
        {std::to_string(kFillIds)});
    if (!rows) return std::unexpected(rows.error());
    for (const auto& row : rows->rows) {
      const int bucket = static_cast<int>(parse_i64(row[0].value_or("")).value_or(0));
      const int64_t id = parse_i64(row[1].value_or("")).value_or(0);
      const int64_t counter = parse_i64(row[2].value_or("")).value_or(0);
      found[{bucket, id}].push_back(counter);
      if (row[3] != "owned") ++orphans;
      // The transaction wrote both tables; one without the other is half a commit.
      if (parse_i64(row[5].value_or("")).value_or(0) != counter) {
        ++result.lost;
        impl_->find(fmt::format("bucket {} id {}: account says {}, its newest entry {}", bucket, id, counter,
                                row[5].value_or("nothing")));
      }
    }
  }
  if (orphans > 0) impl_->find(fmt::format("{} rows are on a shard that does not own their bucket", orphans));
  result.duplicated += orphans;
  std::vector<double> other, before;
  for (const auto& writer : impl_->writers) {
    result.writes += writer->writes;
    result.refusals += writer->refusals;
    result.unknown += writer->unknown;
    other.insert(other.end(), writer->other_ms.begin(), writer->other_ms.end());
    before.insert(before.end(), writer->other_ms_before.begin(), writer->other_ms_before.end());
    for (const auto& [key, entry] : writer->rows) {
      const auto there = found.find(key);
      if (there != found.end() && there->second.size() > 1) {
        ++result.duplicated;
        impl_->find(fmt::format("bucket {} id {}: on {} shards", key.first, key.second, there->second.size()));
      }
      const int64_t counter = there == found.end() ? 0 : there->second.front();
      const int64_t acknowledged = std::max<int64_t>(0, entry.acknowledged);
      const bool may_be_unknown = entry.unknown && counter == std::max<int64_t>(0, *entry.unknown);
      if (counter == acknowledged || may_be_unknown) continue;
      ++result.lost;
      impl_->find(
          fmt::format("bucket {} id {}: holds {}, acknowledged {}", key.first, key.second, counter, acknowledged));
    }
  }
  result.other_ms_p99 = p99_of(std::move(other));
  result.other_ms_p99_before = p99_of(std::move(before));
  result.reads = impl_->reads;
  result.stale_reads = impl_->stale_reads;
  result.both_own = impl_->both_own;
  result.looks = impl_->looks;
  result.stall_ms_max = static_cast<double>(impl_->stall_us_total) / 1e3;
  result.findings = impl_->findings;
  return result;
}

WorkloadOptions LedgerWorkload::options_for(const localcluster::LocalCluster& cluster) {
  WorkloadOptions options;
  for (int shard = 0;; ++shard) {
    const auto primary = cluster.process(fmt::format("s{}-primary", shard));
    if (!primary) break;
    options.conninfos.push_back(primary->conninfo);
    options.admins.push_back(cluster.admin_conninfo(primary->name));
  }
  options.passfile = cluster.passfile("tidemark_app").string();
  options.topology = cluster.topology_address();
  return options;
}

}  // namespace tidemark::trials
