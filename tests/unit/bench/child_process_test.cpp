#include "bench/macro/io/child_process.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace tidemark::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Result<ChildProcess> shell(const std::string& script, bool with_input = false) {
  return ChildProcess::start(
      {.arguments = {"sh", "-c", script}, .environment = {"TOLD=yes"}, .error_log = {}, .with_input = with_input});
}

TEST(ChildProcess, GivesItsLinesAndItsExitCode) {
  auto child = shell("echo one; echo $TOLD; printf three; exit 7");
  ASSERT_TRUE(child.has_value());
  EXPECT_EQ(child->read_line(seconds(5)), "one");
  EXPECT_EQ(child->read_line(seconds(5)), "yes");
  EXPECT_EQ(child->read_line(seconds(5)), "three") << "a last line needs no end";
  EXPECT_EQ(child->read_line(seconds(5)), std::nullopt);
  EXPECT_TRUE(child->is_ended());
  EXPECT_EQ(child->wait(seconds(5)), 7);
}

TEST(ChildProcess, AnswersWhatItIsTold) {
  auto child = shell("while read line; do echo \"got $line\"; done", true);
  ASSERT_TRUE(child.has_value());
  ASSERT_TRUE(child->write("hello\n").has_value());
  EXPECT_EQ(child->read_line(seconds(5)), "got hello");
  child->close_input();
  EXPECT_EQ(child->wait(seconds(5)), 0);
}

TEST(ChildProcess, AReadEndsAtItsTimeWhenThereIsNoLine) {
  auto child = shell("read line", true);
  ASSERT_TRUE(child.has_value());
  EXPECT_EQ(child->read_line(milliseconds(1)), std::nullopt);
  EXPECT_FALSE(child->is_ended());
  EXPECT_EQ(child->wait(milliseconds(1)).error().code, ErrorCode::kDeadlineExceeded);
}

TEST(ChildProcess, ASignalThatEndsItIsItsExitCode) {
  auto child = shell("read line", true);
  ASSERT_TRUE(child.has_value());
  child->signal(SIGKILL);
  EXPECT_EQ(child->wait(seconds(5)), 128 + SIGKILL);
}

TEST(ChildProcess, AProgramThatDoesNotExistEndsWith127) {
  auto child = ChildProcess::start({.arguments = {"/nonexistent/program"}, .environment = {}, .error_log = {}});
  ASSERT_TRUE(child.has_value());
  EXPECT_EQ(child->wait(seconds(5)), 127);
}

}  // namespace
}  // namespace tidemark::bench
