// The session service over real Postgres shards, replicas, nodes and invalidator. Services run inside the test, each
// with a client and a clock of its own; the program itself is tried at the end.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/server_interceptor.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <future>
#include <thread>

#include "base/io/system_clock.h"
#include "client/client.h"
#include "client/grpc/session_interceptors.h"
#include "client/io/families_file.h"
#include "services/session/session_rules.h"
#include "services/session/session_service.h"
#include "services/session/sweeper.h"
#include "services/session/token_digest.h"
#include "tools/localcluster/local_cluster.h"
#include "tools/shards/pg_session.h"

namespace tidemark::session {
namespace {

namespace fs = std::filesystem;
using grpc::StatusCode;
using localcluster::LocalCluster;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

constexpr int64_t kMinute = 60'000;

// One service with its own client and clock, as a process would have.
class Instance {
 public:
  explicit Instance(const LocalCluster& cluster) {
    client::ClientOptions options;
    options.topology = cluster.topology_address();
    options.passfile = cluster.passfile("tidemark_app").string();
    client_ = std::move(client::Client::open(std::move(options)).value());
    store_ = make_session_store(client_->cache(), client_->database());
    service_ = std::make_unique<SessionService>(
        store_, services::CallSettings{.deadline_default = 20s, .metrics = &rpc_metrics_},
        SessionOptions{.now = [this] { return now(); },
                       .new_customer_id = [this]() -> Result<int64_t> { return ++id_; }},
        metrics_);
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
    interceptors.push_back(client::session_server_interceptor({.key = key()}));
    builder.experimental().SetInterceptorCreators(std::move(interceptors));
    server_ = builder.BuildAndStart();
    stub_ = pb::Sessions::NewStub(server_->InProcessChannel({}));
  }
  ~Instance() {
    server_->Shutdown();
    client_->close();
  }

  // All services of a system sign with one key.
  static const client::TokenKey& key() {
    static const client::TokenKey kKey = client::TokenKey::random();
    return kKey;
  }

  UnixMillis now() const { return {io::unix_now().value + ahead_ms}; }

  pb::Session create(int64_t idle_timeout_ms = 0) {
    pb::CreateSessionRequest request;
    request.set_idle_timeout_ms(idle_timeout_ms);
    (*request.mutable_attributes())["language"] = "d\"e\\ö";
    grpc::ClientContext context;
    pb::CreateSessionResponse response;
    grpc::Status status = stub_->CreateSession(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.session();
  }
  struct Got {
    grpc::Status status;
    pb::GetSessionResponse response;
    Instant start;
    int64_t staleness_ms = 0;
    std::string origin;
  };
  Got get(const std::string& token, std::optional<int64_t> max_stale_ms = {},
          const std::optional<std::string>& session_token = {}) {
    pb::GetSessionRequest request;
    request.set_token(token);
    if (max_stale_ms) request.set_max_stale_ms(*max_stale_ms);
    grpc::ClientContext context;
    if (session_token) context.AddMetadata(client::kSessionMetadata, *session_token);
    Got got;
    got.start = io::steady_now();
    got.status = stub_->GetSession(&context, request, &got.response);
    auto trailer = [&](const char* name) {
      auto found = context.GetServerTrailingMetadata().find(name);
      return found == context.GetServerTrailingMetadata().end()
                 ? std::string()
                 : std::string(found->second.data(), found->second.size());
    };
    got.origin = trailer("x-tidemark-origin");
    if (std::string text = trailer("x-tidemark-staleness-ms"); !text.empty()) got.staleness_ms = std::stoll(text);
    return got;
  }
  grpc::Status touch(const std::string& token, pb::TouchSessionResponse& response) {
    pb::TouchSessionRequest request;
    request.set_token(token);
    grpc::ClientContext context;
    return stub_->TouchSession(&context, request, &response);
  }
  bool revoke(const std::string& token, std::string* session_token = nullptr) {
    pb::RevokeSessionRequest request;
    request.set_token(token);
    grpc::ClientContext context;
    if (session_token != nullptr) context.AddMetadata(client::kSessionMetadata, "");
    pb::RevokeSessionResponse response;
    grpc::Status status = stub_->RevokeSession(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    if (session_token != nullptr) {
      auto found = context.GetServerTrailingMetadata().find(client::kSessionMetadata);
      EXPECT_NE(found, context.GetServerTrailingMetadata().end());
      if (found != context.GetServerTrailingMetadata().end())
        session_token->assign(found->second.data(), found->second.size());
    }
    return response.revoked();
  }
  SweepSummary sweep() {
    std::promise<SweepSummary> promise;
    std::make_shared<Sweeper>(store_, metrics_)->sweep(now(), [&](SweepSummary summary) {
      promise.set_value(std::move(summary));
    });
    return promise.get_future().get();
  }
  const SessionMetrics& metrics() const { return *metrics_; }

  std::atomic<int64_t> ahead_ms = 0;

 private:
  std::shared_ptr<SessionMetrics> metrics_ = std::make_shared<SessionMetrics>();
  services::RpcMetrics rpc_metrics_{1000};
  std::atomic<int64_t> id_ = 1000;
  std::unique_ptr<client::Client> client_;
  std::shared_ptr<SessionStore> store_;
  std::unique_ptr<SessionService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<pb::Sessions::Stub> stub_;
};

class SessionE2e : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = fs::temp_directory_path() / ("tidemark-session-e2e-" + std::to_string(::getpid()));
    fs::create_directories(directory_);
    ASSERT_TRUE(client::write_families_file(directory_ / "families.json", client::families_of<SessionByDigest>()));
    localcluster::Options options;
    options.directory = directory_ / "cluster";
    options.shards = 2;
    options.nodes = 2;
    options.schema_files = {fs::path(TIDEMARK_SOURCE_DIR) / "services/session/schema.sql"};
    options.tables = {"session.session"};
    options.families_file = directory_ / "families.json";
    options.with_sessions = true;
    options.session_arguments = {"--sweep-interval", "0ms"};
    options.stop_on_destroy = true;
    auto cluster = LocalCluster::create(options);
    ASSERT_TRUE(cluster) << cluster.error().to_string();
    cluster_ = std::make_unique<LocalCluster>(std::move(*cluster));
    Status started = cluster_->start();
    ASSERT_TRUE(started) << started.error().to_string();
  }
  static void TearDownTestSuite() {
    cluster_.reset();
    fs::remove_all(directory_);
  }
  void SetUp() override {
    ASSERT_NE(cluster_, nullptr);
    a_ = std::make_unique<Instance>(*cluster_);
    b_ = std::make_unique<Instance>(*cluster_);
  }

  template <typename Condition>
  static bool wait_until(Condition condition) {
    auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(10ms);
    }
    return true;
  }
  // Over both shards.
  static int64_t count(const std::string& where) {
    int64_t rows = 0;
    for (const char* shard : {"s0-primary", "s1-primary"}) {
      auto text = cluster_->psql(shard, "SELECT count(*) FROM session.session WHERE " + where);
      EXPECT_TRUE(text) << text.error().to_string();
      rows += std::stoll(text.value_or("0"));
    }
    return rows;
  }
  static std::string row_is(const std::string& token) { return "token_digest = '" + digest_of_token(token) + "'"; }

  static inline fs::path directory_;
  static inline std::unique_ptr<LocalCluster> cluster_;
  std::unique_ptr<Instance> a_, b_;
};

TEST_F(SessionE2e, ASessionIsKnownToEveryServiceAtOnceAndSoonANodeAnswers) {
  for (int i = 0; i < 50; ++i) {
    pb::Session session = a_->create();
    Instance::Got got = b_->get(session.token());
    ASSERT_TRUE(got.status.ok()) << got.status.error_message() << " from " << got.origin;
    session.set_row_version(got.response.session().row_version());
    EXPECT_EQ(got.response.session().DebugString(), session.DebugString());
  }
  std::string token = a_->create().token();
  EXPECT_TRUE(wait_until([&] { return b_->get(token).origin == "node"; }));
  EXPECT_EQ(b_->get(token).response.session().attributes().at("language"), "d\"e\\ö");
}

TEST_F(SessionE2e, NeitherTheDatabaseNorItsLogHasTheToken) {
  std::string token = a_->create().token();
  EXPECT_EQ(count(row_is(token)), 1);
  EXPECT_EQ(count("session::text LIKE '%" + token + "%'"), 0);
}

TEST_F(SessionE2e, TouchesSlideTheEndAndAreWrittenOnceAMinute) {
  std::string token = a_->create(5 * kMinute).token();
  pb::TouchSessionResponse touched;
  int written = 0;
  for (int i = 1; i <= 40; ++i) {  // every 30 s for 20 minutes, by two services in turn
    a_->ahead_ms = b_->ahead_ms = i * kMinute / 2;
    grpc::Status status = (i % 2 == 0 ? a_ : b_)->touch(token, touched);
    ASSERT_TRUE(status.ok()) << i << ": " << status.error_message();
    written += touched.written();
  }
  EXPECT_GE(written, 19);
  EXPECT_LE(written, 20);
  EXPECT_EQ(count(row_is(token) + " AND row_version = " + std::to_string(written + 1)), 1);

  const int64_t left_ms = touched.session().touched_ms() + 6 * kMinute - b_->now().value;
  b_->ahead_ms += left_ms - 30'000;
  EXPECT_TRUE(b_->get(token).status.ok());
  b_->ahead_ms += 30'000;
  EXPECT_EQ(b_->get(token).status.error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(b_->touch(token, touched).error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(count(row_is(token)), 1);  // the sweep's business
}

TEST_F(SessionE2e, AnEndedSessionIsRefusedFromTheCacheWithoutAnybodyDroppingIt) {
  std::string token = a_->create(kMinute).token();
  ASSERT_TRUE(wait_until([&] { return b_->get(token).origin == "node"; }));
  b_->ahead_ms = 10 * kMinute;
  Instance::Got got = b_->get(token);
  EXPECT_EQ(got.status.error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(got.origin, "node");
  b_->ahead_ms = 0;
  EXPECT_TRUE(b_->get(token).status.ok());
}

// The promise: an answer from up to s ms ago contains every commit of before that. Whoever still sees the session must
// have said a staleness that reaches back to before the revoke had ended, and nobody may say more than a second.
TEST_F(SessionE2e, ARevokedSessionIsRefusedEverywhereWithinTheStatedBound) {
  for (int i = 0; i < 20; ++i) {
    std::string token = a_->create().token();
    ASSERT_TRUE(wait_until([&] { return b_->get(token).origin == "node"; }));
    EXPECT_TRUE(a_->revoke(token));
    const Instant revoked = io::steady_now();
    EXPECT_EQ(a_->get(token, 0).status.error_code(), StatusCode::NOT_FOUND);
    EXPECT_TRUE(wait_until([&] {
      Instance::Got got = b_->get(token);
      if (got.status.error_code() == StatusCode::NOT_FOUND) return true;
      EXPECT_TRUE(got.status.ok()) << got.status.error_message();
      EXPECT_LE(got.staleness_ms, 1000);
      EXPECT_LE(got.start - milliseconds(got.staleness_ms), revoked) << got.origin << " " << got.staleness_ms;
      return false;
    }));
    pb::TouchSessionResponse touched;
    EXPECT_EQ(b_->touch(token, touched).error_code(), StatusCode::NOT_FOUND);
    EXPECT_FALSE(b_->revoke(token));
  }
}

// The replicas stand still, so that only the token can tell that their answers are too old.
TEST_F(SessionE2e, WhoeverCarriesTheRevokesTokenIsRefusedAtOnceEverywhere) {
  std::vector<std::string> tokens;
  for (int i = 0; i < 30; ++i) tokens.push_back(a_->create().token());
  for (const std::string& token : tokens) {
    ASSERT_TRUE(wait_until([&] { return b_->get(token).origin == "node"; }));
  }
  for (const char* replica : {"s0-replica1", "s1-replica1"}) ASSERT_TRUE(cluster_->pause_replay(replica));
  for (const std::string& token : tokens) {
    std::string session_token;
    EXPECT_TRUE(a_->revoke(token, &session_token));
    EXPECT_NE(session_token, "");
    Instance::Got got = b_->get(token, {}, session_token);
    EXPECT_EQ(got.status.error_code(), StatusCode::NOT_FOUND) << got.origin << " " << got.status.error_message();
  }
  for (const char* replica : {"s0-replica1", "s1-replica1"}) ASSERT_TRUE(cluster_->resume_replay(replica));
}

TEST_F(SessionE2e, ASessionDeletedByPsqlIsRevokedToo) {
  std::string token = a_->create().token();
  ASSERT_TRUE(wait_until([&] { return b_->get(token).origin == "node"; }));
  for (const char* shard : {"s0-primary", "s1-primary"}) {
    ASSERT_TRUE(cluster_->psql(shard, "DELETE FROM session.session WHERE " + row_is(token)));
  }
  const Instant revoked = io::steady_now();
  EXPECT_TRUE(wait_until([&] {
    Instance::Got got = b_->get(token);
    if (got.status.ok()) EXPECT_LE(got.start - milliseconds(got.staleness_ms), revoked);
    return got.status.error_code() == StatusCode::NOT_FOUND;
  }));
}

class SweepE2e : public SessionE2e {
 protected:
  void SetUp() override {
    SessionE2e::SetUp();
    for (const char* shard : {"s0-primary", "s1-primary"}) {
      ASSERT_TRUE(cluster_->psql(shard, "DELETE FROM session.session"));
    }
  }
  void create_many(int sessions, int64_t idle_timeout_ms) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < sessions / 4; ++i) a_->create(idle_timeout_ms);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
};

TEST_F(SweepE2e, DeletesWhatHasEndedOnEveryShardAndNothingElse) {
  create_many(700, kMinute);
  std::string live = a_->create(60 * kMinute).token(), touched = a_->create(kMinute).token();
  EXPECT_EQ(a_->sweep().deleted, 0);
  b_->ahead_ms = 90'000;
  pb::TouchSessionResponse response;
  ASSERT_TRUE(b_->touch(touched, response).ok());
  ASSERT_TRUE(response.written());
  b_->ahead_ms = 3 * kMinute + 10'000;  // timeout, the minute of touches, the minute of clocks that differ
  SweepSummary summary = b_->sweep();
  EXPECT_EQ(summary.deleted, 700) << summary.error.to_string();
  EXPECT_FALSE(summary.is_behind);
  EXPECT_GE(b_->metrics().batches_ok, 4u);  // more than one on each shard
  EXPECT_EQ(count("true"), 2);
  EXPECT_TRUE(a_->get(live).status.ok());
  EXPECT_TRUE(a_->get(touched).status.ok());
}

TEST_F(SweepE2e, WorksAloneOnAShardAndOnlyInBucketsThatItOwns) {
  create_many(80, kMinute);
  b_->ahead_ms = 10 * kMinute;
  const int64_t of_shard_1 = std::stoll(cluster_->psql("s1-primary", "SELECT count(*) FROM session.session").value());
  {
    auto other_sweeper = shards::PgSession::connect("s0-primary", cluster_->admin_conninfo("s0-primary"));
    ASSERT_TRUE(other_sweeper) << other_sweeper.error().to_string();
    ASSERT_TRUE(other_sweeper->run("SELECT pg_advisory_lock(7005, 0)"));
    SweepSummary summary = b_->sweep();
    EXPECT_EQ(summary.deleted, of_shard_1);
    EXPECT_EQ(summary.shards_failed, 0) << summary.error.to_string();
    EXPECT_EQ(b_->metrics().batches_busy, 1u);
  }
  const std::string fence = "SELECT bucket FROM session.session ORDER BY bucket LIMIT 1";
  const int fenced = std::stoi(cluster_->psql("s0-primary", fence).value());
  auto set_state = [&](const char* state) {
    ASSERT_TRUE(cluster_->psql("s0-primary", std::string("UPDATE shard.bucket SET state = '") + state +
                                                 "' WHERE bucket = " + std::to_string(fenced)));
  };
  set_state("fenced");
  EXPECT_EQ(b_->sweep().shards_failed, 0);
  const int64_t left = count("true");
  EXPECT_GE(left, 1);
  EXPECT_EQ(left, count("bucket = " + std::to_string(fenced)));
  set_state("owned");
  EXPECT_EQ(b_->sweep().deleted, left);
}

std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> buffer{};
  while (size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) text.append(buffer.data(), got);
  ::pclose(pipe);
  return text;
}

TEST_F(SessionE2e, TheProgramMakesCustomersOfItsOwnAndShowsItsMetrics) {
  auto process = cluster_->process("session");
  ASSERT_TRUE(process);
  const std::string address = "127.0.0.1:" + std::to_string(process->ports.at(0));
  auto stub = pb::Sessions::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  int64_t last_id = 0;
  for (int i = 0; i < 3; ++i) {
    pb::CreateSessionRequest request;
    pb::CreateSessionResponse response;
    grpc::ClientContext context;
    grpc::Status status = stub->CreateSession(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_GT(response.session().customer_id(), 0);
    EXPECT_NE(response.session().customer_id(), last_id);
    last_id = response.session().customer_id();
    EXPECT_TRUE(b_->get(response.session().token()).status.ok());
  }
  std::string ctl = cluster_->binary("tidemarkctl").string();
  EXPECT_THAT(output_of(ctl + " call " + address + " tidemark.session.v1.Sessions/GetSession '{\"token\":\"no\"}'"),
              HasSubstr("INVALID_ARGUMENT: token: it is not 32 digits"));
  std::string metrics = output_of("python3 -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:" +
                                  std::to_string(process->metrics_port) + "/metrics\").read().decode())'");
  EXPECT_THAT(metrics, HasSubstr("tidemark_session_touches_total{outcome=\"written\"} 0"));
  EXPECT_THAT(metrics, HasSubstr("method=\"CreateSession\""));
}

}  // namespace
}  // namespace tidemark::session
