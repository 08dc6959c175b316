#include "base/family/family_check.h"

#include <algorithm>
#include <set>

#include "base/parse.h"

namespace tidemark {
namespace {

bool is_word(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

std::unexpected<Error> refuse(const Family& family, const std::string& why) {
  return fail(ErrorCode::kInvalidArgument, "family \"" + family.name + "\": " + why);
}

Status check_source(const Family& family, const KeyPattern& pattern) {
  if (family.table.empty()) {
    if (!family.key_columns.empty()) return refuse(family, "key_columns need a table");
    return {};
  }
  std::vector<std::string_view> names = split(family.table, '.');
  if (names.size() != 2 || !is_word(names[0]) || !is_word(names[1])) {
    return refuse(family, "table must be \"schema.table\" in lower case, not \"" + family.table + "\"");
  }
  for (const std::string& column : family.key_columns) {
    if (!is_word(column)) return refuse(family, "key column \"" + column + "\" is no lower-case column name");
  }
  if (family.key_columns.size() != pattern.parameters().size()) {
    return refuse(family, "key_columns must name one column for each of the pattern's " +
                              std::to_string(pattern.parameters().size()) + " parameters");
  }
  return {};
}

}  // namespace

Status check_families(const std::vector<Family>& families) {
  std::set<std::string> names, prefixes;
  for (const Family& family : families) {
    if (!is_word(family.name)) return refuse(family, "a name is [a-z0-9_]+");
    if (!names.insert(family.name).second) return refuse(family, "the name stands twice");
    Result<KeyPattern> pattern = KeyPattern::parse(family.pattern);
    if (!pattern) return refuse(family, pattern.error().message);
    if (!prefixes.insert(pattern->prefix()).second) {
      return refuse(family, "its prefix \"" + pattern->prefix() + "\" is another family's");
    }
    if (family.ttl_ms == 0 || family.ttl_ms > kFamilyMillisMax)
      return refuse(family, "ttl_ms must be from 1 ms to ten years");
    if (Status source = check_source(family, *pattern); !source) return source;
  }
  return {};
}

}  // namespace tidemark
