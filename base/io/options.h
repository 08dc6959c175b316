// Command lines, the same manners in every program: flag > environment (TIDEMARK_…) > --config FILE.toml > default.
//
//   Options options("tidemark-cache", "A cache node.");
//   options.number("port", port, {.max = 65535}, "RESP port of worker 0; 0 = any");   // --port N, TIDEMARK_PORT, port
//   = N if (auto exit_code = options.parse(argc, argv)) return *exit_code;
//
// A verb's own options are read from the command line and the config file ([verb] section) alone.
// The default is what the target holds before parse(); targets must outlive it. --help and --version print and exit
// kExitOk; a wrong or unknown option prints what was wrong, with the nearest known name, and exits kExitUsage.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace tidemark::io {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

struct NumberRange {
  uint64_t min = 0;
  uint64_t max = UINT64_MAX;
};

class Options {
 public:
  Options(std::string program, std::string about);
  ~Options();
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  void text(const std::string& name, std::string& target, const std::string& help);
  void texts(const std::string& name, std::vector<std::string>& target, const std::string& help);  // a,b or repeated
  void flag(const std::string& name, bool& target, const std::string& help, char letter = 0);  // letter: -v
  void number(const std::string& name, uint64_t& target, NumberRange range, const std::string& help);
  void number(const std::string& name, uint32_t& target, NumberRange range, const std::string& help);
  void number(const std::string& name, uint16_t& target, NumberRange range, const std::string& help);
  void real(const std::string& name, double& target, const std::string& help);
  void memory(const std::string& name, uint64_t& target, const std::string& help);    // "64mb"
  void duration(const std::string& name, Duration& target, const std::string& help);  // "250ms"
  void choice(const std::string& name, std::string& target, std::vector<std::string> choices, const std::string& help);
  void require(const std::string& name);  // refuses to start without it

  // Arguments by place.
  void positional(const std::string& name, std::string& target, bool is_required, const std::string& help);
  void positionals(const std::string& name, std::vector<std::string>& target, size_t at_least, const std::string& help);

  // A verb with options of its own: "tidemarkctl status". One verb must be given if any is declared.
  Options& verb(const std::string& name, const std::string& about);
  bool is_chosen() const;  // this verb was given

  // nothing: go on; else: leave with this exit code (what there was to say has been printed).
  std::optional<int> parse(int argc, const char* const* argv);

 private:
  struct Impl;
  explicit Options(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The known name nearest to `given` (edit distance, at most a third of its length), or empty.
std::string nearest_name(const std::string& given, const std::vector<std::string>& known);

}  // namespace tidemark::io
