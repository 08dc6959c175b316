// `tidemark-shards` itself, run as a program against real shards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "base/io/topology_store_file.h"
#include "tools/localcluster/local_cluster.h"
#include "tools/localcluster/process.h"
#include "tools/shards/shards_file.h"

namespace tidemark::shards {
namespace {

namespace fs = std::filesystem;
using localcluster::LocalCluster;
using ::testing::HasSubstr;

class ShardsInitTest : public ::testing::Test {
 protected:
  // Two bare servers; every test makes its own database objects by init, which must find them in any state.
  static void SetUpTestSuite() {
    std::string directory = ::testing::TempDir() + "tidemark-init-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    localcluster::Options options;
    options.directory = directory + "/cluster";
    options.nodes = 0;
    options.shards = 2;
    options.replicas = 0;
    options.with_invalidator = false;
    options.run_shards_init = false;
    options.stop_on_destroy = true;
    auto created = LocalCluster::create(options);
    ASSERT_TRUE(created) << created.error().to_string();
    cluster_ = std::make_unique<LocalCluster>(std::move(*created));
    const Status started = cluster_->start();
    ASSERT_TRUE(started) << started.error().to_string();
  }
  static void TearDownTestSuite() {
    if (!cluster_) return;
    const fs::path directory = cluster_->directory().parent_path();
    cluster_.reset();
    fs::remove_all(directory);
  }

  static fs::path write_file(const std::string& name, const std::string& text) {
    const fs::path path = cluster_->directory() / name;
    std::ofstream(path) << text;
    return path;
  }
  static std::string shards_json(const std::string& first_id = "0", const std::string& second_id = "1") {
    const auto server = [](const char* name) {
      return "{\"name\":\"" + std::string(name) + "\",\"role\":\"primary\",\"conninfo\":\"" +
             cluster_->process(name)->conninfo + "\"}";
    };
    return "{\"shards\":[{\"id\":" + first_id + ",\"admin\":\"" + cluster_->admin_conninfo("s0-primary") +
           "\",\"servers\":[" + server("s0-primary") + "]},{\"id\":" + second_id + ",\"admin\":\"" +
           cluster_->admin_conninfo("s1-primary") + "\",\"servers\":[" + server("s1-primary") + "]}]}";
  }
  // The program's error text, or nothing.
  static std::string init(std::vector<std::string> extra = {}, const std::string& json = shards_json(),
                          std::string passwords = "") {
    const fs::path file = write_file("shards.json", json);
    const fs::path log = cluster_->directory() / "logs/init-test.log";
    if (passwords.empty()) passwords = (cluster_->directory() / "secrets").string();
    std::vector<std::string> argv{cluster_->binary("tidemark-shards").string(),
                                  "init",
                                  "--shards",
                                  file.string(),
                                  "--topology",
                                  cluster_->topology_address(),
                                  "--passwords-dir",
                                  passwords};
    argv.insert(argv.end(), extra.begin(), extra.end());
    const Status done = localcluster::run_to_end({argv, log, {}}, std::chrono::seconds(30));
    return done ? "" : done.error().message;
  }
  static std::string psql(std::string_view server, std::string_view sql) {
    return cluster_->psql(server, sql).value_or("error");
  }
  static Topology topology() {
    return io::open_topology_store(cluster_->topology_address())->load().value_or(Topology{});
  }

  static inline std::unique_ptr<LocalCluster> cluster_;
};

TEST_F(ShardsInitTest, MakesTheShardsAndChangesNothingTheSecondTime) {
  ASSERT_EQ(init(), "");
  const Topology first = topology();
  const std::string password = *read_text_file(cluster_->passfile("tidemark_app"));
  ASSERT_EQ(init(), "");
  EXPECT_EQ(topology(), first);
  EXPECT_EQ(*read_text_file(cluster_->passfile("tidemark_app")), password);
  EXPECT_EQ(psql("s0-primary", "SELECT count(*) FROM shard.bucket"), "4096");
  EXPECT_EQ(psql("s0-primary", "SELECT count(*) FROM shard.bucket WHERE state = 'owned'"), "2048");
  EXPECT_EQ(psql("s1-primary", "SELECT state, forward FROM shard.bucket WHERE bucket = 0"), "moved|0");
  EXPECT_EQ(psql("s0-primary", "SELECT e FROM tidemark.epoch"), "1");
  EXPECT_EQ(first.owner_of_bucket(0), (BucketOwner{0, 1}));
  EXPECT_EQ(first.owner_of_bucket(4095), (BucketOwner{1, 1}));
}

TEST_F(ShardsInitTest, TheShardsAreTheTruthAboutBuckets) {
  ASSERT_EQ(init(), "");
  psql("s0-primary", "UPDATE shard.bucket SET state = 'moved', epoch = 3, forward = '1' WHERE bucket = 4");
  psql("s1-primary", "UPDATE shard.bucket SET state = 'owned', epoch = 3, forward = NULL WHERE bucket = 4");
  ASSERT_EQ(init(), "");
  EXPECT_EQ(topology().owner_of_bucket(4), (BucketOwner{1, 3}));
  psql("s0-primary", "UPDATE shard.bucket SET state = 'owned', epoch = 3, forward = NULL WHERE bucket = 4");
  EXPECT_THAT(init(), HasSubstr("bucket 4 is owned by shard 0"));
  psql("s0-primary", "UPDATE shard.bucket SET state = 'moved', epoch = 3, forward = '1' WHERE bucket = 4");
}

TEST_F(ShardsInitTest, KeepsPasswordsInPrivateFilesAndSendsOnlyVerifiers) {
  ASSERT_EQ(init(), "");
  struct stat status{};
  ASSERT_EQ(::stat(cluster_->passfile("tidemark_app").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_EQ(
      psql("s0-primary",
           "SELECT count(*) FROM pg_authid WHERE rolname LIKE 'tidemark\\_%' AND rolpassword LIKE 'SCRAM-SHA-256$%'"),
      "3");
  EXPECT_EQ(psql("s0-primary",
                 "SELECT rolsuper OR rolcreaterole OR rolreplication FROM pg_roles WHERE rolname = 'tidemark_app'"),
            "f");
}

TEST_F(ShardsInitTest, RefusesToReplacePasswordsItDoesNotKnow) {
  ASSERT_EQ(init(), "");
  const std::string elsewhere = (cluster_->directory() / "elsewhere").string();
  EXPECT_THAT(init({}, shards_json(), elsewhere), HasSubstr("--new-passwords"));
}

TEST_F(ShardsInitTest, RefusesADatabaseOfAnotherShard) {
  ASSERT_EQ(init(), "");
  EXPECT_THAT(init({}, shards_json("1", "0")), HasSubstr("this database is shard 0, the shards file calls it shard 1"));
}

TEST_F(ShardsInitTest, AdoptsATableThatIsFit) {
  const fs::path schema =
      write_file("good.sql",
                 "CREATE SCHEMA IF NOT EXISTS shop; CREATE TABLE IF NOT EXISTS shop.good (bucket int NOT NULL, "
                 "sku text NOT NULL, PRIMARY KEY (bucket, sku))");
  const fs::path families =
      write_file("good.json", R"({"families":[{"name":"good","pattern":"good:{<sku>}","table":"shop.good",)"
                              R"("key_columns":["sku"]}]})");
  for (int round = 0; round < 2; ++round)
    ASSERT_EQ(init({"--schema", schema.string(), "--tables", "shop.good", "--families", families.string()}), "");
  EXPECT_EQ(psql("s1-primary",
                 "SELECT tablename FROM pg_publication_tables WHERE pubname = 'tidemark' AND tablename = 'good'"),
            "good");
  EXPECT_EQ(psql("s1-primary", "SELECT has_table_privilege('tidemark_app', 'shop.good', 'UPDATE')"), "t");
}

TEST_F(ShardsInitTest, RefusesATableWhoseDeletedRowsWouldNotNameTheirKey) {
  const fs::path schema =
      write_file("bad.sql",
                 "CREATE SCHEMA IF NOT EXISTS shop; CREATE TABLE IF NOT EXISTS shop.bad (bucket int NOT NULL, "
                 "id int NOT NULL, customer int NOT NULL, PRIMARY KEY (bucket, id))");
  const fs::path families =
      write_file("bad.json", R"({"families":[{"name":"bad","pattern":"bad:{<customer>}","table":"shop.bad",)"
                             R"("key_columns":["customer"]}]})");
  const std::string said = init({"--schema", schema.string(), "--tables", "shop.bad", "--families", families.string()});
  EXPECT_THAT(said, HasSubstr("column \"customer\" of family bad is not in the replica identity"));
}

TEST_F(ShardsInitTest, RefusesATableWithoutABucket) {
  const fs::path schema = write_file("flat.sql", "CREATE TABLE IF NOT EXISTS public.flat (id int PRIMARY KEY)");
  EXPECT_THAT(init({"--schema", schema.string(), "--tables", "public.flat"}), HasSubstr("bucket int NOT NULL"));
}

TEST_F(ShardsInitTest, RefusesFilesThatAreNotWhole) {
  EXPECT_THAT(init({}, "{"), HasSubstr("not JSON"));
  EXPECT_THAT(init({}, R"({"shards":[]})"), HasSubstr("must be a list that is not empty"));
  EXPECT_THAT(init({}, R"({"shards":[{"id":0,"admin":"host=/x dbname=y","servers":[]}]})"),
              HasSubstr("0 primaries are given"));
  EXPECT_THAT(init({}, R"({"shards":[{"id":0,"admin":"host=/x dbname=y","servers":[{"name":"a","role":"primary",)"
                       R"("conninfo":"host=/x user=me"}]}]})"),
              HasSubstr("must not name a user"));
  const auto with_conninfo = [](const std::string& conninfo) {
    return R"({"shards":[{"id":0,"admin":"host=/x dbname=y","servers":[{"name":"a","role":"primary","conninfo":")" +
           conninfo + R"("}]}]})";
  };
  EXPECT_THAT(init({}, with_conninfo("postgresql://me:secret@/y")), HasSubstr("not a URI"));
  EXPECT_THAT(init({}, with_conninfo("host=/x password = 'secret'")), HasSubstr("must not name a password"));
  EXPECT_THAT(init({}, with_conninfo("host=/x sslpassword=s")), HasSubstr("must not name a sslpassword"));
  EXPECT_THAT(init({}, with_conninfo("host=/x dbname='user=me'x=")), HasSubstr("cannot be read by libpq"));
  EXPECT_THAT(init({}, R"({"shards":[{"id":0,"admin":"host=/x password=secret","servers":[]}]})"),
              HasSubstr("must not name a password"));
  EXPECT_THAT(init({}, shards_json("0", "0")), HasSubstr("id 0 is given twice"));
}

}  // namespace
}  // namespace tidemark::shards
