// A read from near to far: in the node without sockets, and through the Repository to a node over loopback.
//
// BM_Node*: bytes of a request in, bytes of the reply out, all that the worker's thread does but the system calls.
// BM_Repository*: the real client library on its own thread, real RESP over loopback, a make-believe node in the same
// process (client/testing). The figure is CPU time of the whole process: client, kernel and that node, so it is an
// upper bound of what the client costs and good for comparing two versions of it, not for saying how fast a hit is.
#include <benchmark/benchmark.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "cacheserver/serving/session_machine.h"
#include "client/testing/fake_cluster.h"

namespace tidemark {
namespace {

constexpr Instant kNow{std::chrono::seconds(1000)};
constexpr UnixMillis kUnixNow{1'700'000'000'000};
constexpr size_t kValueBytes = 200;

Instant standing_clock() {
  return kNow;
}

// A worker that has joined shard 7 and holds one filled row and one plain entry.
class NodeInside {
 public:
  NodeInside() {
    auto topology = std::make_shared<Topology>();
    topology->version = topology->slots_version = 1;
    topology->nodes = {{.id = "n1", .worker_ports = {7001}}};
    topology->groups = {{.id = "g1", .nodes = {"n1"}}};
    topology->slot_groups.assign(kSlotCount, 0);
    topology->buckets.assign(kBucketCount, {.shard = 7, .epoch = 4});
    topology->families = {
        {.name = "product", .pattern = "product:{<sku>}", .table = "catalog.product", .key_columns = {"sku"}}};
    worker_->adopt_topology(topology);
    send(make_request({"FENCEALL", "7", "1", "1", "0/100"}));
    const std::string lease = lease_of(send(make_request({"GETL", "product:{bash}"})));
    send(make_request({"SETV", "product:{bash}", lease, "R:7:1:4:0/180", std::string(kValueBytes, 'v')}));
    send(make_request({"SET", "plain", std::string(kValueBytes, 'v')}));
  }

  const std::string& send(std::string_view bytes) {
    out_.clear();
    client_.advance(bytes, out_, kNow, kUnixNow);
    return out_.bytes();
  }

 private:
  static std::string lease_of(std::string_view reply) {
    ReplyParser parser;
    parser.feed(reply);
    auto value = parser.next();
    return value && *value && (**value).elements.size() > 1 ? (**value).elements[1].text : std::string();
  }

  std::unique_ptr<cacheserver::Worker> worker_ =
      cacheserver::Worker::open({.identity = {.node_id = "n1", .incarnation = 42, .port = 7001, .started_at = kNow},
                                 .config = {},
                                 .credentials = {},
                                 .hash_seed = 1,
                                 .clock = standing_clock},
                                cacheserver::CommandTable::standard())
          .value();
  cacheserver::SessionMachine client_{*worker_, "127.0.0.1:50000", "127.0.0.1:7001", kNow};
  cacheserver::ReplyBuffer out_;
};

void serve(benchmark::State& state, const std::string& request, std::string_view expected_in_reply) {
  NodeInside node;
  if (!node.send(request).contains(expected_in_reply)) return state.SkipWithError(node.send(request).c_str());
  for (auto _ : state) benchmark::DoNotOptimize(node.send(request).data());
}

void BM_NodeGet(benchmark::State& state) {
  serve(state, make_request({"GET", "plain"}), "vvvv");
}
BENCHMARK(BM_NodeGet);

void BM_NodeGetl(benchmark::State& state) {
  serve(state, make_request({"GETL", "product:{bash}", "MAXSTALE", "60000"}), "BYPASS");
}
BENCHMARK(BM_NodeGetl)->Name("BM_NodeGetlBypass");

void BM_NodeGetlHit(benchmark::State& state) {
  serve(state, make_request({"GETL", "product:{bash}"}), "HIT");
}
BENCHMARK(BM_NodeGetlHit);

struct RowBySku : client::KeyFamily<"row:{<sku>}", std::string, std::string> {
  static constexpr std::string_view kName = "row";
  static constexpr std::string_view kTable = "bench.row";
  static constexpr std::array<std::string_view, 1> kKeyColumns = {"sku"};
};

client::RowSource<RowBySku> source() {
  return {.sql = "SELECT sku, body FROM bench.row WHERE bucket = $1 AND sku = $2",
          .batch_sql =
              "SELECT bucket, sku, body FROM bench.row JOIN unnest($1::int[], $2::text[]) k(bucket, sku) USING "
              "(bucket, sku)",
          .from_rows = client::one_row<std::string>([](const client::Row& row) -> Result<std::string> {
            auto body = row.text("body");
            if (!body) return std::unexpected(body.error());
            return std::string(*body);
          })};
}

// A cluster whose node holds `keys` rows: every read is a hit.
class FarReads {
 public:
  explicit FarReads(size_t keys) : rows_(cluster_.cache(), cluster_.database(), source()) {
    cluster_.serve(source());
    for (size_t i = 0; i < keys; ++i) {
      keys_.push_back({"sku-" + std::to_string(i)});
      cluster_.put<RowBySku>(keys_.back(), {{{"body", std::string(kValueBytes, 'v')}}});
    }
  }

  // Reads until the node has taken every fill; false if it never does.
  bool warm_up() {
    for (int i = 0; i < 1000; ++i) {
      bool is_warm = true;
      for (auto& answer : rows_.sync().get_many(keys_))
        is_warm = is_warm && answer && answer->origin() == client::Origin::kNode;
      if (is_warm) return true;
    }
    return false;
  }

  client::Repository<RowBySku>& rows() { return rows_; }
  const std::vector<RowBySku::Key>& keys() const { return keys_; }

 private:
  testing::FakeCluster cluster_;
  client::Repository<RowBySku> rows_;
  std::vector<RowBySku::Key> keys_;
};

void BM_RepositoryHit(benchmark::State& state) {
  FarReads far(1);
  if (!far.warm_up()) return state.SkipWithError("the node takes no fill");
  for (auto _ : state) {
    auto answer = far.rows().sync().get(far.keys()[0]);
    benchmark::DoNotOptimize(answer);
  }
}
BENCHMARK(BM_RepositoryHit)->MeasureProcessCPUTime()->UseRealTime()->Unit(benchmark::kMicrosecond);

// One get_many of 100 keys: CPU time per row is a hundredth.
void BM_RepositoryHits100(benchmark::State& state) {
  FarReads far(100);
  if (!far.warm_up()) return state.SkipWithError("the node takes no fill");
  for (auto _ : state) {
    auto answers = far.rows().sync().get_many(far.keys());
    benchmark::DoNotOptimize(answers);
  }
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(BM_RepositoryHits100)->MeasureProcessCPUTime()->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace tidemark
