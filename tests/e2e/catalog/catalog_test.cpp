// The catalog service as its users meet it: real Postgres, nodes, invalidator; gRPC from outside, psql behind its back.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <functional>
#include <set>
#include <thread>

#include "base/io/secrets.h"
#include "client/session_token.h"
#include "services/catalog/proto/catalog.grpc.pb.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;
namespace pb = tidemark::catalog::v1;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::Not;

struct Output {
  int exit_code = -1;
  std::string text;  // both streams
};

Output run(const std::string& command) {
  Output output;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> buffer{};
  while (size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) output.text.append(buffer.data(), got);
  int status = ::pclose(pipe);
  output.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return output;
}

class CatalogE2e : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = fs::temp_directory_path() / ("tidemark-catalog-e2e-" + std::to_string(::getpid()));
    fs::create_directories(directory_);
    localcluster::Options options;
    options.directory = directory_ / "cluster";
    options.shards = 2;
    options.schema_files = {fs::path(TIDEMARK_SOURCE_DIR) / "services/catalog/schema.sql"};
    options.tables = {"catalog.product"};
    options.families_file = directory_ / "families.json";
    options.with_catalog = true;
    options.stop_on_destroy = true;
    auto cluster = localcluster::LocalCluster::create(options);
    ASSERT_TRUE(cluster) << cluster.error().to_string();
    Output written = run(cluster->binary("tidemark-catalog").string() + " --write-families " +
                         (directory_ / "families.json").string());
    ASSERT_EQ(written.exit_code, 0) << written.text;
    cluster_ = std::make_unique<localcluster::LocalCluster>(std::move(*cluster));
    Status started = cluster_->start();
    ASSERT_TRUE(started) << started.error().to_string();
  }
  static void TearDownTestSuite() {
    cluster_.reset();
    fs::remove_all(directory_);
  }

  void SetUp() override {
    ASSERT_NE(cluster_, nullptr);
    connect();
  }
  void connect() {
    address_ = "127.0.0.1:" + std::to_string(cluster_->process("catalog")->ports.at(0));
    stub_ = pb::Catalog::NewStub(grpc::CreateChannel(address_, grpc::InsecureChannelCredentials()));
  }

  struct Got {
    grpc::Status status;
    pb::GetProductResponse response;
    std::string origin;
    milliseconds took{};
  };
  Got get(const std::string& sku, milliseconds deadline = seconds(5)) {
    pb::GetProductRequest request;
    request.set_sku(sku);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + deadline);
    Got got;
    auto begin = std::chrono::steady_clock::now();
    got.status = stub_->GetProduct(&context, request, &got.response);
    got.took = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
    auto trailers = context.GetServerTrailingMetadata();
    auto found = trailers.find("x-tidemark-origin");
    if (found != trailers.end()) got.origin = std::string(found->second.data(), found->second.size());
    return got;
  }
  pb::ImportProductsResponse import(const std::vector<std::string>& skus, const std::string& version,
                                    const std::string& section = "") {
    pb::ImportProductsRequest request;
    for (const std::string& sku : skus) {
      pb::Product& product = *request.add_products();
      product.set_sku(sku);
      product.set_version(version);
      product.set_section(section);
      product.set_price_cents(100);
    }
    grpc::ClientContext context;
    pb::ImportProductsResponse summary;
    auto stream = stub_->ImportProducts(&context, &summary);
    stream->Write(request);
    stream->WritesDone();
    grpc::Status status = stream->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    return summary;
  }
  // The skus of all pages, one after the other; `between` is called after each page.
  template <typename Request>
  std::vector<std::string> pages(
      grpc::Status (pb::Catalog::Stub::*method)(grpc::ClientContext*, const Request&, pb::ListProductsResponse*),
      Request request, const std::function<void()>& between = [] {}) {
    std::vector<std::string> skus;
    for (int page = 0; page < 100; ++page) {
      pb::ListProductsResponse response;
      grpc::ClientContext context;
      grpc::Status status = (stub_.get()->*method)(&context, request, &response);
      EXPECT_TRUE(status.ok()) << status.error_message();
      for (const auto& product : response.products()) skus.push_back(product.sku());
      if (response.next_page_token().empty()) break;
      request.set_page_token(response.next_page_token());
      between();
    }
    return skus;
  }
  template <typename Condition>
  bool wait_until(Condition condition) {
    auto deadline = std::chrono::steady_clock::now() + seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(milliseconds(10));
    }
    return true;
  }
  Output ctl(const std::string& arguments) {
    return run(cluster_->binary("tidemarkctl").string() + " --topology " + cluster_->topology_address() + " " +
               arguments);
  }

  // On both shards; the first cells of the results.
  static std::vector<std::string> psql(const std::string& sql) {
    std::vector<std::string> results;
    for (const char* shard : {"s0-primary", "s1-primary"}) {
      auto result = cluster_->psql(shard, sql);
      EXPECT_TRUE(result) << result.error().to_string();
      results.push_back(result.value_or(""));
    }
    return results;
  }
  static int64_t count(const std::string& where) {
    int64_t rows = 0;
    for (const std::string& text : psql("SELECT count(*) FROM catalog.product WHERE " + where))
      rows += std::stoll(text);
    return rows;
  }
  static constexpr std::array kServers = {"s0-primary", "s0-replica1", "s1-primary", "s1-replica1"};

  static inline fs::path directory_;
  static inline std::unique_ptr<localcluster::LocalCluster> cluster_;
  std::string address_;
  std::unique_ptr<pb::Catalog::Stub> stub_;
};

TEST_F(CatalogE2e, ImportsOnceAndLeavesEqualRowsAlone) {
  std::vector<std::string> skus;
  for (int i = 0; i < 900; ++i) skus.push_back("import-" + std::to_string(i));
  EXPECT_EQ(import(skus, "1").imported(), 900);
  EXPECT_EQ(import(skus, "1").unchanged(), 900);
  EXPECT_EQ(import({skus[0], skus[1]}, "2").updated(), 2);
  EXPECT_EQ(count("sku LIKE 'import-%' AND row_version = 1"), 898);
  EXPECT_EQ(count("sku LIKE 'import-%' AND row_version = 2"), 2);
}

TEST_F(CatalogE2e, AnswersFromTheNodeAfterTheFirstRead) {
  import({"warm"}, "1");
  EXPECT_TRUE(wait_until([&] { return get("warm").origin == "node"; }));
  EXPECT_EQ(get("warm").response.product().version(), "1");
}

TEST_F(CatalogE2e, AnAbsentProductIsKnownAbsentUntilItIsImported) {
  EXPECT_EQ(get("later").status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(wait_until([&] { return get("later").origin == "node"; }));
  import({"later"}, "1");
  EXPECT_TRUE(get("later").status.ok());
}

TEST_F(CatalogE2e, APriceSetIsReadBackAtOnceAlsoFromTheCache) {
  import({"priced"}, "1");
  ASSERT_TRUE(wait_until([&] { return get("priced").origin == "node"; }));
  for (int64_t price = 1; price <= 20; ++price) {
    pb::SetPriceRequest request;
    request.set_sku("priced");
    request.set_price_cents(price);
    pb::SetPriceResponse response;
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->SetPrice(&context, request, &response).ok());
    Got got = get("priced");
    // A node that took the INVAL has none of the older versions; a replica's answer may be as old as its bound says.
    if (got.origin != "replica") ASSERT_GE(got.response.product().row_version(), response.product().row_version());
  }
}

TEST_F(CatalogE2e, AWriteGivesATokenThatEveryReadHonoursAndAGarbageTokenHarmsNothing) {
  import({"token-tea"}, "1");
  const auto key = client::TokenKey::of_bytes(io::read_secret_file(cluster_->token_key_file()).value()).value();
  std::string token;  // empty begins a session
  auto call = [&](auto method, const auto& request, auto& response) {
    grpc::ClientContext context;
    context.AddMetadata("x-tidemark-token", token);
    grpc::Status status = (stub_.get()->*method)(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    auto found = context.GetServerTrailingMetadata().find("x-tidemark-token");
    ASSERT_NE(found, context.GetServerTrailingMetadata().end());
    token = std::string(found->second.data(), found->second.size());
  };
  for (const char* replica : {"s0-replica1", "s1-replica1"}) ASSERT_TRUE(cluster_->pause_replay(replica));
  for (int price = 200; price < 210; ++price) {
    pb::SetPriceRequest set;
    set.set_sku("token-tea");
    set.set_price_cents(price);
    pb::SetPriceResponse was_set;
    call(&pb::Catalog::Stub::SetPrice, set, was_set);
    auto held = client::SessionToken::from_text(token, key);
    ASSERT_TRUE(held) << held.error().to_string();
    EXPECT_TRUE(held->positions()[0].is_written);
    pb::GetProductRequest get_request;
    get_request.set_sku("token-tea");
    pb::GetProductResponse got;
    call(&pb::Catalog::Stub::GetProduct, get_request, got);
    EXPECT_EQ(got.product().price_cents(), price);
  }
  for (const char* replica : {"s0-replica1", "s1-replica1"}) ASSERT_TRUE(cluster_->resume_replay(replica));
  token = "garbage";
  pb::GetProductRequest get_request;
  get_request.set_sku("token-tea");
  pb::GetProductResponse got;
  call(&pb::Catalog::Stub::GetProduct, get_request, got);
  EXPECT_EQ(got.product().price_cents(), 209);
  EXPECT_TRUE(client::SessionToken::from_text(token, key)) << "a new session has begun";
}

TEST_F(CatalogE2e, AnUpdateByPsqlReachesTheCacheByItself) {
  import({"edited"}, "1");
  ASSERT_TRUE(wait_until([&] { return get("edited").origin == "node"; }));
  psql("UPDATE catalog.product SET price_cents = 777 WHERE sku = 'edited'");
  EXPECT_TRUE(wait_until([&] { return get("edited").response.product().price_cents() == 777; }));
  EXPECT_TRUE(wait_until([&] { return get("edited").origin == "node"; }));
  EXPECT_EQ(get("edited").response.product().row_version(), 2);
}

TEST_F(CatalogE2e, PagesOfASectionGiveEveryProductOfAllShardsOnceAndInOrder) {
  std::set<std::string> expected;
  for (int i = 0; i < 230; ++i) expected.insert("list-" + std::to_string(i));
  import({expected.begin(), expected.end()}, "1", "listed");
  import({"list-elsewhere"}, "1", "other");
  for (const std::string& text : psql("SELECT count(*) FROM catalog.product WHERE section = 'listed'")) {
    EXPECT_GT(std::stoi(text), 50);  // both shards have their part
  }
  pb::ListSectionRequest request;
  request.set_section("listed");
  request.set_page_size(50);
  // A replica may lag behind the import at first; then the pages are exactly these.
  EXPECT_TRUE(wait_until([&] { return pages(&pb::Catalog::Stub::ListSection, request).size() == expected.size(); }));
  EXPECT_THAT(pages(&pb::Catalog::Stub::ListSection, request), ElementsAreArray(expected));
}

TEST_F(CatalogE2e, PagesGoOnWhileProductsComeAndGoAndMissNoneThatStays) {
  std::vector<std::string> stay, go;
  for (int i = 100; i < 160; ++i) (i % 3 == 0 ? go : stay).push_back("flux-" + std::to_string(i));
  import(stay, "1", "flux");
  import(go, "1", "flux");
  pb::ListSectionRequest request;
  request.set_section("flux");
  request.set_page_size(7);
  EXPECT_TRUE(wait_until([&] { return pages(&pb::Catalog::Stub::ListSection, request).size() == 60; }));
  int page = 0;
  auto skus = pages(&pb::Catalog::Stub::ListSection, request, [&] {
    // From the front: a page token that counted rows would now skip some.
    if (++page <= 3) psql("DELETE FROM catalog.product WHERE sku = 'flux-" + std::to_string(99 + 3 * page) + "'");
  });
  for (const std::string& sku : stay) EXPECT_EQ(std::ranges::count(skus, sku), 1) << sku;
  EXPECT_TRUE(std::ranges::is_sorted(skus));
}

TEST_F(CatalogE2e, SearchFindsPrefixesWhateverTheirCharacters) {
  import({"zz-a", "zz-b", "zz+a", "zz.a", "zza", "zy-a", "zz0"}, "1");
  auto found = [&](const std::string& prefix) {
    pb::SearchProductsRequest request;
    request.set_prefix(prefix);
    request.set_page_size(2);
    return pages(&pb::Catalog::Stub::SearchProducts, request);
  };
  EXPECT_TRUE(wait_until([&] { return found("zz").size() == 6; }));
  EXPECT_THAT(found("zz"), ElementsAre("zz+a", "zz-a", "zz-b", "zz.a", "zz0", "zza"));
  EXPECT_THAT(found("zz-"), ElementsAre("zz-a", "zz-b"));
  EXPECT_THAT(found("zz."), ElementsAre("zz.a"));
  pb::SearchProductsRequest pattern;
  pattern.set_prefix("zz%");
  pb::ListProductsResponse response;
  grpc::ClientContext context;
  grpc::Status status = stub_->SearchProducts(&context, pattern, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("no sku begins with \"zz%\""));
}

TEST_F(CatalogE2e, AGarbagePageTokenIsRefused) {
  pb::ListSectionRequest request;
  request.set_section("listed");
  request.set_page_token("AbCd");
  pb::ListProductsResponse response;
  grpc::ClientContext context;
  grpc::Status status = stub_->ListSection(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("page_token: "));
}

TEST_F(CatalogE2e, ListsAskTheirIndexes) {
  for (const char* sql :
       {"SELECT bucket, sku FROM catalog.product WHERE section = 'x' AND sku > 'a' ORDER BY sku LIMIT 21",
        "SELECT bucket, sku FROM catalog.product WHERE sku >= 'zz' AND sku < 'z{' AND sku > '' ORDER BY sku "
        "LIMIT 21"}) {
    auto plan = cluster_->psql("s0-primary", std::string("SET enable_seqscan = off; SET enable_bitmapscan = off; "
                                                         "EXPLAIN (COSTS OFF) ") +
                                                 sql);
    EXPECT_THAT(plan.value_or("?"), HasSubstr("Index Only Scan")) << plan.value_or("?");
    EXPECT_THAT(plan.value_or("?"), Not(HasSubstr("Sort"))) << plan.value_or("?");
  }
}

TEST_F(CatalogE2e, KeepsDeadlinesWhileThePrimariesAndTheReplicasAreSilent) {
  for (const char* server : kServers) ASSERT_TRUE(cluster_->pause(server));
  milliseconds worst{};
  for (int i = 0; i < 5; ++i) {
    Got got = get("silent-" + std::to_string(i), milliseconds(200));
    EXPECT_FALSE(got.status.ok());
    EXPECT_THAT(got.status.error_code(),
                testing::AnyOf(grpc::StatusCode::DEADLINE_EXCEEDED, grpc::StatusCode::UNAVAILABLE,
                               grpc::StatusCode::RESOURCE_EXHAUSTED));
    worst = std::max(worst, got.took);
  }
  EXPECT_LE(worst, milliseconds(300));
  for (const char* server : kServers) ASSERT_TRUE(cluster_->resume(server));
  EXPECT_TRUE(wait_until([&] { return get("silent-0").status.error_code() == grpc::StatusCode::NOT_FOUND; }));
}

TEST_F(CatalogE2e, TidemarkctlCallsItByReflectionAndShowsTheTrailers) {
  import({"shown"}, "7");
  Output got = ctl("call " + address_ + " tidemark.catalog.v1.Catalog/GetProduct '{\"sku\":\"shown\"}' -v");
  EXPECT_EQ(got.exit_code, 0) << got.text;
  EXPECT_THAT(got.text, HasSubstr("\"version\": \"7\""));
  EXPECT_THAT(got.text, HasSubstr("trailer x-tidemark-staleness-ms: "));
  Output refused = ctl("call " + address_ + " tidemark.catalog.v1.Catalog/GetProduct '{\"sku\":\"Shown\"}'");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.text, HasSubstr("INVALID_ARGUMENT: sku: "));
  Output health =
      ctl("call " + address_ + " grpc.health.v1.Health/Check '{\"service\":\"tidemark.catalog.v1.Catalog\"}'");
  EXPECT_THAT(health.text, HasSubstr("\"SERVING\""));
  Output unknown = ctl("call " + address_ + " tidemark.catalog.v1.Catalog/GetProdukt '{}'");
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.text, HasSubstr("there are: ImportProducts GetProduct"));
}

TEST_F(CatalogE2e, StatusNamesTheWorkerThatDoesNotAnswer) {
  const std::string status_verb = "status --passfile " + cluster_->passfile("tidemark_admin").string();
  EXPECT_TRUE(wait_until([&] { return ctl(status_verb).exit_code == 0; }));
  ASSERT_TRUE(cluster_->pause("n2"));
  Output status = ctl(status_verb);
  ASSERT_TRUE(cluster_->resume("n2"));
  EXPECT_EQ(status.exit_code, 3);
  EXPECT_THAT(status.text, testing::ContainsRegex("n2 +0 +127.0.0.1:[0-9]+ .*no (reply|answer)"));
}

TEST_F(CatalogE2e, DrainsOnSigtermAnswersWhatItBeganAndComesBack) {
  grpc::ClientContext context;
  pb::ImportProductsResponse summary;
  auto stream = stub_->ImportProducts(&context, &summary);
  pb::ImportProductsRequest request;
  request.add_products()->set_sku("draining");
  ASSERT_TRUE(stream->Write(request));
  std::thread ends([&] { EXPECT_TRUE(cluster_->terminate("catalog")); });
  // The log says when the drain began; only then is the import finished.
  EXPECT_TRUE(wait_until([&] {
    std::ifstream log(cluster_->process("catalog")->log);
    return std::string(std::istreambuf_iterator<char>(log), {}).find("\"draining\"") != std::string::npos;
  }));
  stream->WritesDone();
  grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(summary.imported(), 1);
  ends.join();
  ASSERT_TRUE(cluster_->start("catalog"));
  connect();
  EXPECT_TRUE(get("draining").status.ok());
}

}  // namespace
}  // namespace tidemark
