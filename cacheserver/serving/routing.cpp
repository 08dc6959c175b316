#include "cacheserver/serving/routing.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/parse.h"
#include "base/slot.h"

namespace tidemark::cacheserver {
namespace {

enum class Split : uint8_t { kPerKey, kPerOwner, kEverywhere, kByCursor };

struct SplitRule {
  std::string_view name;
  Split split;
  Merge merge;
};

constexpr std::array kSplitRules = {
    SplitRule{"config|resetstat", Split::kEverywhere, Merge::kAllOk},
    SplitRule{"config|set", Split::kEverywhere, Merge::kAllOk},
    SplitRule{"dbsize", Split::kEverywhere, Merge::kSum},
    SplitRule{"del", Split::kPerOwner, Merge::kSum},
    SplitRule{"exists", Split::kPerOwner, Merge::kSum},
    SplitRule{"flushall", Split::kEverywhere, Merge::kAllOk},
    SplitRule{"flushdb", Split::kEverywhere, Merge::kAllOk},
    SplitRule{"keys", Split::kEverywhere, Merge::kConcatenate},
    SplitRule{"mget", Split::kPerKey, Merge::kConcatenate},
    SplitRule{"mset", Split::kPerOwner, Merge::kAllOk},
    SplitRule{"randomkey", Split::kEverywhere, Merge::kAnyValue},
    SplitRule{"scan", Split::kByCursor, Merge::kScan},
    SplitRule{"touch", Split::kPerOwner, Merge::kSum},
    SplitRule{"unlink", Split::kPerOwner, Merge::kSum},
};

const SplitRule* rule_of(std::string_view name) {
  const auto* rule = std::ranges::find(kSplitRules, name, &SplitRule::name);
  return rule == kSplitRules.end() ? nullptr : rule;
}

bool is_arity_right(const CommandSpec& spec, size_t count) {
  const auto arguments = static_cast<int64_t>(count);
  return spec.arity >= 0 ? arguments == spec.arity : arguments >= -spec.arity;
}

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Route route_of_keys(const CommandSpec& spec, KeyPositions keys, const RequestRound& round, size_t i,
                    const WorkerView& view) {
  const Arguments arguments = round.arguments(i);
  const std::span<const KeyRef> refs = round.refs(i);
  size_t number = 0;
  uint32_t owner = 0;
  for (size_t at = keys.first; at <= keys.last; at += keys.step, ++number) {
    const Slot slot = number < refs.size() ? refs[number].slot : slot_of_key(arguments[at]);
    const uint32_t of_key = view.worker_of_slot(slot);
    if (number == 0) owner = of_key;
    if (of_key == owner) continue;
    if (rule_of(spec.name) == nullptr) return {.kind = Route::Kind::kRefused, .has_keys = true};
    const bool is_whole = (arguments.size() - keys.first) % keys.step == 0;  // else the command says what is missing
    return {.kind = is_whole ? Route::Kind::kParts : Route::Kind::kHere, .has_keys = true};
  }
  if (owner == view.identity().worker_index) return {.has_keys = true};
  return {.kind = Route::Kind::kOwner, .owner = owner, .has_keys = true};
}

// One part for each worker that has some of the keys, with what stands behind each key.
void split_by_owner(RequestParts& out, Arguments arguments, KeyPositions keys, const WorkerView& view,
                    bool is_per_key) {
  for (size_t at = keys.first; at <= keys.last; at += keys.step) {
    const uint32_t owner = view.worker_of_slot(slot_of_key(arguments[at]));
    auto part = is_per_key ? out.parts.end() : std::ranges::find(out.parts, owner, &RequestParts::Part::owner);
    if (part == out.parts.end()) {
      out.parts.push_back({.owner = owner, .arguments = {arguments[0]}});
      part = out.parts.end() - 1;
    }
    const Arguments with_key = arguments.subspan(at, keys.step);
    part->arguments.insert(part->arguments.end(), with_key.begin(), with_key.end());
  }
}

// SCAN's cursor names the worker: cursor = cursor of the worker * workers + worker.
void split_by_cursor(RequestParts& out, Arguments arguments, const WorkerView& view) {
  const uint64_t workers = view.identity().workers;
  RequestParts::Part& part = out.parts.emplace_back();
  part.owner = view.identity().worker_index;
  part.arguments.assign(arguments.begin(), arguments.end());
  const auto cursor = parse_number(arguments[1]);
  if (!cursor) return;  // the command says what is wrong with it
  part.owner = static_cast<uint32_t>(*cursor % workers);
  out.storage = std::to_string(*cursor / workers);
  part.arguments[1] = out.storage;
}

// "*3\r\n…" -> 3, and the rest behind the line; nothing: it is something else.
std::optional<uint64_t> take_head(std::string_view& reply, char type) {
  const size_t end = reply.find("\r\n");
  if (reply.empty() || reply[0] != type || end == std::string_view::npos) return std::nullopt;
  const auto number = parse_number(reply.substr(1, end - 1));
  reply.remove_prefix(end + 2);
  return number;
}

void append_number(std::string& out, char type, uint64_t number) {
  out.push_back(type);
  out += std::to_string(number);
  out += "\r\n";
}

void sum(std::string& out, const std::vector<std::string_view>& replies) {
  uint64_t total = 0;
  for (std::string_view reply : replies) total += take_head(reply, ':').value_or(0);
  append_number(out, ':', total);
}

void concatenate(std::string& out, const std::vector<std::string_view>& replies) {
  uint64_t elements = 0;
  std::vector<std::string_view> bodies = replies;
  for (std::string_view& body : bodies) elements += take_head(body, '*').value_or(0);
  append_number(out, '*', elements);
  for (std::string_view body : bodies) out += body;
}

void rewrite_cursor(std::string& out, std::string_view reply, uint32_t owner, uint32_t workers) {
  std::string_view rest = reply;
  const bool is_pair = take_head(rest, '*') == 2;
  const auto digits = is_pair ? take_head(rest, '$') : std::nullopt;
  const auto inner = digits ? parse_number(rest.substr(0, *digits)) : std::nullopt;
  if (!inner) {
    out += reply;
    return;
  }
  rest.remove_prefix(*digits + 2);
  uint64_t cursor = *inner * workers + owner;
  if (*inner == 0) cursor = owner + 1 < workers ? owner + 1 : 0;  // the next worker begins
  const std::string text = std::to_string(cursor);
  out += "*2\r\n";
  append_number(out, '$', text.size());
  out.append(text).append("\r\n").append(rest);
}

}  // namespace

Route route_of(const CommandTable& table, const RequestRound& round, size_t i, const WorkerView& view) {
  const CommandTable::Found found = round.found(i);
  if (found.kind != CommandTable::Found::Kind::kCommand) return {};
  const CommandSpec& spec = table.spec(found.row);
  if (!is_arity_right(spec, round.arguments(i).size())) return {};
  const KeyPositions keys = key_positions(spec, round.arguments(i).size());
  if (!keys.empty()) return route_of_keys(spec, keys, round, i, view);
  const SplitRule* rule = spec.flags & kFast && spec.name != "dbsize" ? nullptr : rule_of(spec.name);
  return rule == nullptr ? Route{} : Route{.kind = Route::Kind::kParts};
}

RequestParts parts_of(const CommandTable& table, CommandTable::Found found, Arguments arguments,
                      const WorkerView& view) {
  RequestParts out;
  const CommandSpec& spec = table.spec(found.row);
  const SplitRule& rule = *rule_of(spec.name);
  out.merge = rule.merge;
  switch (rule.split) {
    case Split::kPerKey:
    case Split::kPerOwner:
      split_by_owner(out, arguments, key_positions(spec, arguments.size()), view, rule.split == Split::kPerKey);
      break;
    case Split::kEverywhere:
      for (uint32_t owner = 0; owner < view.identity().workers; ++owner) {
        out.parts.push_back({.owner = owner, .arguments = {arguments.begin(), arguments.end()}});
      }
      break;
    case Split::kByCursor:
      split_by_cursor(out, arguments, view);
      break;
  }
  return out;
}

void merge_replies(std::string& out, Merge merge, const std::vector<uint32_t>& owners, uint32_t workers,
                   const std::vector<std::string_view>& replies) {
  const auto failed = std::ranges::find_if(replies, [](std::string_view reply) { return reply.starts_with('-'); });
  if (failed != replies.end()) {
    out += *failed;
    return;
  }
  switch (merge) {
    case Merge::kSum:
      return sum(out, replies);
    case Merge::kConcatenate:
      return concatenate(out, replies);
    case Merge::kScan:
      return rewrite_cursor(out, replies[0], owners[0], workers);
    case Merge::kAnyValue: {
      const auto found = std::ranges::find_if(
          replies, [](std::string_view reply) { return !reply.starts_with("$-1") && !reply.starts_with('_'); });
      out += found == replies.end() ? replies[0] : *found;
      return;
    }
    case Merge::kNone:
    case Merge::kAllOk:
      out += replies[0];
      return;
  }
}

}  // namespace tidemark::cacheserver
