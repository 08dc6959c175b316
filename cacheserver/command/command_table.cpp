#include "cacheserver/command/command_table.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/invariant.h"
#include "base/parse.h"

namespace tidemark::cacheserver {
namespace {

// Folds case by setting bit 5 of every byte: equal names hash equally, and equals_ignore_case has the last word.
uint32_t name_hash(std::string_view name) {
  constexpr uint64_t kFold = 0x2020202020202020;
  constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15;
  uint64_t hash = name.size();
  while (name.size() >= 8) {
    uint64_t word;
    std::memcpy(&word, name.data(), 8);
    hash = (hash ^ (word | kFold)) * kMultiplier;
    hash ^= hash >> 32;
    name.remove_prefix(8);
  }
  uint64_t word = 0;
  for (char c : name) word = word << 8 | (static_cast<unsigned char>(c) | 0x20u);
  hash = (hash ^ word) * kMultiplier;
  return static_cast<uint32_t>(hash >> 32);
}

}  // namespace

CommandTable::CommandTable(std::span<const std::span<const CommandSpec>> parts) {
  for (std::span<const CommandSpec> part : parts) {
    for (const CommandSpec& spec : part) add_row(spec);
  }
  link_subcommands();
  slots_.assign(std::bit_ceil(rows_.size() * 4 + 1), kNoRow);
  for (uint32_t row = 0; row < rows_.size(); ++row) place(row);
}

void CommandTable::add_row(const CommandSpec& spec) {
  INVARIANT(spec.name.size() <= kNameBytesMax, spec.name);
  rows_.push_back({.spec = &spec, .subcommands = {}, .is_subcommand = spec.name.find('|') != std::string_view::npos});
}

void CommandTable::link_subcommands() {
  const size_t given = rows_.size();
  for (uint32_t row = 0; row < given; ++row) {
    if (!rows_[row].is_subcommand) continue;
    std::string_view container = rows_[row].spec->name.substr(0, rows_[row].spec->name.find('|'));
    auto at = std::ranges::find_if(rows_, [&](const Row& other) { return other.spec->name == container; });
    if (at == rows_.end()) {
      const CommandSpec& first = *rows_[row].spec;
      made_containers_.push_back({.name = container,
                                  .arity = -2,
                                  .group = first.group,
                                  .summary = "A container for subcommands.",
                                  .since = first.since});
      rows_.push_back({.spec = &made_containers_.back(), .subcommands = {}, .is_subcommand = false});
      at = rows_.end() - 1;
    }
    at->subcommands.push_back(row);
  }
}

void CommandTable::place(uint32_t row) {
  std::string_view name = rows_[row].spec->name;
  size_t mask = slots_.size() - 1;
  size_t slot = name_hash(name) & mask;
  while (slots_[slot] != kNoRow) {
    INVARIANT(rows_[slots_[slot]].spec->name != name, name);
    slot = (slot + 1) & mask;
  }
  slots_[slot] = row;
}

uint32_t CommandTable::find_row(std::string_view name) const {
  size_t mask = slots_.size() - 1;
  for (size_t slot = name_hash(name) & mask; slots_[slot] != kNoRow; slot = (slot + 1) & mask) {
    if (equals_ignore_case(rows_[slots_[slot]].spec->name, name)) return slots_[slot];
  }
  return kNoRow;
}

CommandTable::Found CommandTable::find(Arguments arguments) const {
  uint32_t row = find_row(arguments[0]);
  if (row == kNoRow || rows_[row].is_subcommand) return {};
  if (rows_[row].subcommands.empty()) return {.kind = Found::Kind::kCommand, .row = row};
  if (arguments.size() < 2) {
    bool runs_alone = rows_[row].spec->handler != nullptr;  // COMMAND
    return {.kind = runs_alone ? Found::Kind::kCommand : Found::Kind::kNoSubcommand, .row = row};
  }
  char name[kNameBytesMax];
  size_t size = arguments[0].size() + 1 + arguments[1].size();
  if (size > sizeof name) return {.kind = Found::Kind::kUnknownSubcommand, .row = row};
  std::memcpy(name, arguments[0].data(), arguments[0].size());
  name[arguments[0].size()] = '|';
  std::memcpy(name + arguments[0].size() + 1, arguments[1].data(), arguments[1].size());
  uint32_t subcommand = find_row({name, size});
  if (subcommand == kNoRow) return {.kind = Found::Kind::kUnknownSubcommand, .row = row};
  return {.kind = Found::Kind::kCommand, .row = subcommand};
}

KeyPositions all_key_positions(const CommandSpec& spec, size_t argument_count) {
  if (spec.first_key <= 0 || spec.key_step <= 0) return {};
  auto first = static_cast<size_t>(spec.first_key);
  auto count = static_cast<int64_t>(argument_count);
  int64_t last = spec.last_key >= 0 ? spec.last_key : count + spec.last_key;
  last = std::min(last, count - 1);
  if (last < spec.first_key) return {};
  return {.first = first, .last = static_cast<size_t>(last), .step = static_cast<size_t>(spec.key_step)};
}

}  // namespace tidemark::cacheserver
