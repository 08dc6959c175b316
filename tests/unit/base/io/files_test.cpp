#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <csignal>
#include <fstream>

#include "base/io/random_source.h"
#include "base/io/ready_file.h"
#include "base/io/secrets.h"
#include "base/io/signals.h"

namespace tidemark::io {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "tidemark-files-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { fs::remove_all(root_); }
  fs::path root_;
};

using ReadyFile = FilesTest;
using SecretFile = FilesTest;

TEST_F(ReadyFile, ComesBackAsItWasWrittenWithPidAndVersion) {
  ASSERT_TRUE(
      write_ready_file(root_ / "r", {{"port", 7001}, {"host", "h"}, {"worker_ports", std::vector<int64_t>{1, 2}}}));
  ReadyFields fields = read_ready_file(root_ / "r").value();
  EXPECT_EQ(fields.at("port"), ReadyValue(int64_t{7001}));
  EXPECT_EQ(fields.at("host"), ReadyValue("h"));
  EXPECT_EQ(fields.at("worker_ports"), ReadyValue(std::vector<int64_t>{1, 2}));
  EXPECT_EQ(fields.at("pid"), ReadyValue(int64_t{::getpid()}));
  EXPECT_EQ(fields.at("version"), ReadyValue(TIDEMARK_VERSION));
  EXPECT_EQ(std::distance(fs::directory_iterator(root_), {}), 1);
}

TEST_F(ReadyFile, TellsAMissingOneFromABrokenOne) {
  EXPECT_EQ(read_ready_file(root_ / "r").error().code, ErrorCode::kNotFound);
  std::ofstream(root_ / "r") << "{\"a\":null}";
  EXPECT_EQ(read_ready_file(root_ / "r").error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(write_ready_file(root_ / "none" / "r", {}));
  EXPECT_TRUE(write_ready_file("", {}));
}

TEST_F(SecretFile, IsReadWithoutItsNewline) {
  ASSERT_TRUE(write_secret_file(root_ / "s", "geheim"));
  EXPECT_EQ(read_secret_file(root_ / "s").value(), "geheim");
  struct stat info{};
  ASSERT_EQ(::stat((root_ / "s").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(write_secret_file(root_ / "s", "x").error().code, ErrorCode::kFailedPrecondition);
}

TEST_F(SecretFile, IsRefusedWhenOthersMayReadItOrItIsNoSecret) {
  auto make = [&](const std::string& text, mode_t mode) {
    std::ofstream(root_ / "s") << text;
    ::chmod((root_ / "s").c_str(), mode);
    return read_secret_file(root_ / "s").error();
  };
  EXPECT_THAT(make("x\n", 0640).message, HasSubstr("chmod 600"));
  EXPECT_EQ(make("x\n", 0604).code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(make("", 0600).message, HasSubstr("empty"));
  EXPECT_THAT(make("a\nb\n", 0600).message, HasSubstr("more than one line"));
  EXPECT_THAT(make(std::string(kSecretBytesMax + 1, 'x'), 0600).message, HasSubstr("longer than"));
  EXPECT_EQ(read_secret_file(root_ / "none").error().code, ErrorCode::kNotFound);
}

TEST(RandomSource, DoesNotRepeatItself) {
  EXPECT_NE(random_u64(), random_u64());
  EXPECT_EQ(random_hex(16).size(), 32u);
  EXPECT_EQ(random_hex(3).size(), 6u);
}

// In a child process: signals of the test process belong to the test runner.
int exit_code_of(const std::function<void()>& body) {
  pid_t child = ::fork();
  if (child == 0) {
    body();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(StopSignals, TellTheLoopOnceAndTheSecondEndsTheProcess) {
  EXPECT_EQ(exit_code_of([] {
              boost::asio::io_context context;
              int calls = 0;
              std::unique_ptr<StopSignals> signals = StopSignals::watch(context, [&](int signal) {
                ++calls;
                if (signal != SIGTERM) ::_exit(1);
                ::raise(SIGINT);
              });
              ::raise(SIGTERM);
              context.run_for(std::chrono::seconds(10));
              ::_exit(2);
            }),
            128 + SIGINT);
}

TEST(StopSignals, LetTheLoopEndWhenDestroyed) {
  EXPECT_EQ(exit_code_of([] {
              boost::asio::io_context context;
              std::unique_ptr<StopSignals> signals;
              signals = StopSignals::watch(context, [&](int) { signals.reset(); });
              ::raise(SIGTERM);
              context.run_for(std::chrono::seconds(10));
              ::_exit(context.stopped() ? 7 : 8);
            }),
            7);
}

}  // namespace
}  // namespace tidemark::io
