// Reads a Debian package index, the text that `apt-cache dumpavail` prints: stanzas of "Field: value" lines, each ended
// by an empty line; a line that begins with a space continues the field before it.
//
//     Package: 0ad
//     Version: 0.0.26-3
//     Description: Real-time strategy game of ancient warfare
//     Tag: game::strategy, interface::graphical,
//      uitoolkit::sdl
//     Section: games
//     Size: 7891488
//
// A package that comes twice (several archives or architectures) keeps its last stanza, at its first place. A stanza
// without Package or Version, with a name outside [A-Za-z0-9+.-], with a Size that is no number, or with a line that is
// neither a field nor a continuation is malformed: it is counted, the first few are described, and it is left out.
// Limits: a line of kLineBytesMax; a longer one makes its stanza malformed. Threads: not shared. I/O: none, it is fed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tidemark::bench {

struct Package {
  std::string name;
  std::string version;
  std::string section;      // empty if the stanza has none
  std::string description;  // the first line, as the index gives it
  int64_t size = 0;         // bytes of the .deb; 0 if the stanza has none

  bool operator==(const Package&) const = default;
};

class PackageIndex {
 public:
  static constexpr size_t kLineBytesMax = 1 << 20;
  static constexpr size_t kExamplesMax = 5;

  // Any piece of the text, in order; pieces need not end at line ends.
  void feed(std::string_view bytes);
  // The text has ended; the last stanza needs no empty line after it.
  void finish();

  const std::vector<Package>& packages() const { return packages_; }
  uint64_t stanzas() const { return stanzas_; }
  uint64_t duplicates() const { return duplicates_; }
  uint64_t malformed() const { return malformed_; }
  // "stanza 17 (package foo): Size 'x' is not a number"
  const std::vector<std::string>& malformed_examples() const { return malformed_examples_; }

 private:
  void take_line(std::string_view line);
  void take_field(std::string_view name, std::string_view value);
  void spoil(std::string why);
  void end_stanza();

  std::string partial_line_;
  Package stanza_;
  bool has_lines_ = false;
  std::string spoiled_;  // why this stanza is malformed; the first reason
  std::vector<Package> packages_;
  std::unordered_map<std::string, size_t> place_of_;
  uint64_t stanzas_ = 0;
  uint64_t duplicates_ = 0;
  uint64_t malformed_ = 0;
  std::vector<std::string> malformed_examples_;
};

}  // namespace tidemark::bench
