#include "base/io/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace tidemark::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Program {
  uint16_t port = 6379;
  uint64_t memory = 1 << 20;
  Duration deadline = std::chrono::milliseconds(250);
  bool is_quiet = false;
  std::string format = "table";
  std::vector<std::string> nodes;
  std::string said;

  std::optional<int> parse(std::vector<const char*> arguments) {
    Options options("prog", "A program.");
    options.number("port", port, {.min = 1}, "the port");
    options.memory("memory", memory, "the memory");
    options.duration("deadline", deadline, "the deadline");
    options.flag("quiet", is_quiet, "say nothing");
    options.choice("format", format, {"table", "json"}, "the form");
    options.texts("nodes", nodes, "the nodes");
    arguments.insert(arguments.begin(), "prog");
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    auto code = options.parse(static_cast<int>(arguments.size()), arguments.data());
    said = testing::internal::GetCapturedStdout() + testing::internal::GetCapturedStderr();
    return code;
  }
};

class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Environment() { ::unsetenv(name_); }

 private:
  const char* name_;
};

std::string config_file(const std::string& text) {
  std::string path =
      (std::filesystem::temp_directory_path() / ("tidemark-options-" + std::to_string(::getpid()) + ".toml")).string();
  std::ofstream(path) << text;
  return path;
}

TEST(Options, KeepDefaultsWhenNothingIsGiven) {
  Program program;
  EXPECT_EQ(program.parse({}), std::nullopt);
  EXPECT_EQ(program.port, 6379);
  EXPECT_EQ(program.deadline, std::chrono::milliseconds(250));
}

TEST(Options, ReadNumbersSizesTimesListsAndFlags) {
  Program program;
  ASSERT_EQ(program.parse({"--port", "7000", "--memory=64mb", "--deadline", "2s", "--quiet", "--nodes", "a,b",
                           "--format", "json"}),
            std::nullopt)
      << program.said;
  EXPECT_EQ(program.port, 7000);
  EXPECT_EQ(program.memory, 64u << 20);
  EXPECT_EQ(program.deadline, std::chrono::seconds(2));
  EXPECT_TRUE(program.is_quiet);
  EXPECT_THAT(program.nodes, ElementsAre("a", "b"));
  EXPECT_EQ(program.format, "json");
}

TEST(Options, FlagBeatsEnvironmentBeatsFileBeatsDefault) {
  std::string file = config_file("port = 1001\nquiet = true\nmemory = \"2mb\"\n");
  Environment port("TIDEMARK_PORT", "1002");
  Program program;
  ASSERT_EQ(program.parse({"--config", file.c_str()}), std::nullopt) << program.said;
  EXPECT_EQ(program.port, 1002);
  EXPECT_TRUE(program.is_quiet);
  EXPECT_EQ(program.memory, 2u << 20);
  Program typed;
  ASSERT_EQ(typed.parse({"--config", file.c_str(), "--port", "1003", "--memory", "3mb"}), std::nullopt) << typed.said;
  EXPECT_EQ(typed.port, 1003);
  EXPECT_EQ(typed.memory, 3u << 20);
}

TEST(Options, EnvironmentSetsAndClearsFlags) {
  Program program;
  Environment yes("TIDEMARK_QUIET", "true");
  ASSERT_EQ(program.parse({}), std::nullopt) << program.said;
  EXPECT_TRUE(program.is_quiet);
  ::setenv("TIDEMARK_QUIET", "false", 1);
  Program other;
  ASSERT_EQ(other.parse({}), std::nullopt) << other.said;
  EXPECT_FALSE(other.is_quiet);
}

TEST(Options, SuggestTheNearestNameOfAnUnknownOption) {
  Program program;
  EXPECT_EQ(program.parse({"--prot", "1"}), kExitUsage);
  EXPECT_THAT(program.said, HasSubstr("unknown option --prot; did you mean --port?"));
}

TEST(Options, RefuseAnUnknownNameInTheConfigFile) {
  Program program;
  std::string file = config_file("prot = 1\n");
  EXPECT_EQ(program.parse({"--config", file.c_str()}), kExitUsage);
  EXPECT_THAT(program.said, HasSubstr("prot"));
}

TEST(Options, SayWhatWasWrongWithAValue) {
  struct Case {
    std::vector<const char*> arguments;
    const char* why;
  };
  for (const Case& each : {Case{{"--port", "0"}, "\"0\" is no number from 1 to 65535"},
                           Case{{"--port", "65536"}, "no number from 1 to 65535"}, Case{{"--port", "-1"}, "port"},
                           Case{{"--memory", "lots"}, "\"lots\" is no size such as 64mb"},
                           Case{{"--deadline", "soon"}, "\"soon\" is no time such as 250ms"},
                           Case{{"--format", "xml"}, "\"xml\" is none of table|json"}, Case{{"--port"}, "--port"},
                           Case{{"extra"}, "unexpected argument extra"}}) {
    Program program;
    EXPECT_EQ(program.parse(each.arguments), kExitUsage) << each.why;
    EXPECT_THAT(program.said, HasSubstr(each.why));
  }
}

TEST(Options, HelpAndVersionLeaveWithZero) {
  Program program;
  EXPECT_EQ(program.parse({"--version"}), kExitOk);
  EXPECT_EQ(program.said, "prog " TIDEMARK_VERSION "\n");
  EXPECT_EQ(program.parse({"--help"}), kExitOk);
  EXPECT_THAT(program.said, HasSubstr("the deadline"));
}

TEST(Options, RunVerbsWithTheirOwnOptionsAndSuggestThem) {
  std::string format = "table", topology;
  auto run = [&](std::vector<const char*> arguments, std::string& said) {
    Options options("ctl", "A tool.");
    options.text("topology", topology, "the topology");
    Options& status = options.verb("status", "shows it");
    status.text("format", format, "the form");
    Options& families = options.verb("families", "families");
    families.verb("apply", "stores them");
    arguments.insert(arguments.begin(), "ctl");
    testing::internal::CaptureStderr();
    auto code = options.parse(static_cast<int>(arguments.size()), arguments.data());
    said = testing::internal::GetCapturedStderr();
    return code ? *code : status.is_chosen() ? 100 : 101;
  };
  std::string said;
  EXPECT_EQ(run({"status", "--format", "json", "--topology", "file:x"}, said), 100) << said;
  EXPECT_EQ(format, "json");
  EXPECT_EQ(topology, "file:x");
  EXPECT_EQ(run({"--topology", "file:x", "families", "apply"}, said), 101) << said;
  EXPECT_EQ(run({}, said), kExitUsage);
  EXPECT_THAT(said, HasSubstr("a verb is needed"));
  EXPECT_EQ(run({"families"}, said), kExitUsage);
  EXPECT_EQ(run({"statsu"}, said), kExitUsage);
  EXPECT_THAT(said, HasSubstr("did you mean status?"));
  EXPECT_EQ(run({"status", "--formt", "json"}, said), kExitUsage);
  EXPECT_THAT(said, HasSubstr("did you mean --format?"));
}

TEST(NearestName, IsEmptyWhenNothingIsNear) {
  EXPECT_EQ(nearest_name("--zzzzzz", {"--port", "--memory"}), "");
  EXPECT_EQ(nearest_name("--memroy", {"--port", "--memory"}), "--memory");
}

}  // namespace
}  // namespace tidemark::io
