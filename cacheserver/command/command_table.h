// All commands of the node by name: an open-addressed table, made once, read by every worker.
//
//   find({"GET", "k"})            -> row "get"
//   find({"Client", "SetName"})   -> row "client|setname"; a row without subcommands takes the arguments as they are
//
// A name with subcommands ("client") has a row of its own: it is what COMMAND INFO describes. Only COMMAND's has a
// handler, for COMMAND alone is a command, too.
// Lookups fold ASCII case and allocate nothing.
// Threads: immutable after construction. I/O: none.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "cacheserver/command/command.h"

namespace tidemark::cacheserver {

class CommandTable {
 public:
  static constexpr uint32_t kNoRow = UINT32_MAX;
  static constexpr size_t kNameBytesMax = 64;  // "container|subcommand"; longer names are unknown

  // Joins the parts; a name that stands in two of them breaks an invariant.
  explicit CommandTable(std::span<const std::span<const CommandSpec>> parts);

  // The six parts of command.h.
  static const CommandTable& standard();

  struct Found {
    enum class Kind : uint8_t { kCommand, kUnknown, kUnknownSubcommand, kNoSubcommand };
    Kind kind = Kind::kUnknown;
    uint32_t row = kNoRow;  // kUnknownSubcommand, kNoSubcommand: the container's
  };
  Found find(Arguments arguments) const;           // requires at least one argument
  uint32_t find_row(std::string_view name) const;  // "get", "client|setname"; kNoRow if there is none

  const CommandSpec& spec(uint32_t row) const { return *rows_[row].spec; }
  bool is_container(uint32_t row) const { return !rows_[row].subcommands.empty(); }
  bool is_subcommand(uint32_t row) const { return rows_[row].is_subcommand; }
  const std::vector<uint32_t>& subcommands(uint32_t row) const { return rows_[row].subcommands; }
  size_t size() const { return rows_.size(); }  // rows, subcommands included

 private:
  struct Row {
    const CommandSpec* spec = nullptr;
    std::vector<uint32_t> subcommands;
    bool is_subcommand = false;
  };
  void add_row(const CommandSpec& spec);
  void link_subcommands();
  void place(uint32_t row);

  std::vector<Row> rows_;
  std::vector<uint32_t> slots_;  // hash -> row; a power of two, at most a quarter full
  std::deque<CommandSpec> made_containers_;
};

// Where a command's keys stand among its arguments.
struct KeyPositions {
  size_t first = 0, last = 0, step = 0;  // first = 0: none
  bool empty() const { return first == 0; }
};
KeyPositions all_key_positions(const CommandSpec& spec, size_t argument_count);
inline KeyPositions key_positions(const CommandSpec& spec, size_t argument_count) {
  if (spec.first_key == 0) return {};
  if (spec.first_key != 1 || spec.last_key != 1) return all_key_positions(spec, argument_count);
  return argument_count > 1 ? KeyPositions{.first = 1, .last = 1, .step = 1} : KeyPositions{};  // the usual one
}

}  // namespace tidemark::cacheserver
