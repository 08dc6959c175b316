#include "bench/macro/package_index.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/parse.h"

namespace tidemark::bench {
namespace {

bool is_package_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '.' ||
           c == '-';
  });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

void PackageIndex::feed(std::string_view bytes) {
  while (true) {
    const size_t end = bytes.find('\n');
    if (end == std::string_view::npos) break;
    if (partial_line_.empty()) {
      take_line(bytes.substr(0, end));
    } else {
      partial_line_ += bytes.substr(0, end);
      take_line(partial_line_);
      partial_line_.clear();
    }
    bytes.remove_prefix(end + 1);
  }
  if (partial_line_.size() + bytes.size() <= kLineBytesMax) {
    partial_line_ += bytes;
  } else {
    spoil(fmt::format("a line is longer than {} bytes", kLineBytesMax));
    has_lines_ = true;
  }
}

void PackageIndex::finish() {
  if (!partial_line_.empty()) take_line(partial_line_);
  partial_line_.clear();
  end_stanza();
}

void PackageIndex::take_line(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (line.empty()) return end_stanza();
  has_lines_ = true;
  if (line.front() == ' ' || line.front() == '\t') return;  // continues a field; no field of ours has a second line
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) {
    return spoil(fmt::format("'{}' is neither a field nor a continuation", line.substr(0, 40)));
  }
  take_field(line.substr(0, colon), trim(line.substr(colon + 1)));
}

void PackageIndex::take_field(std::string_view name, std::string_view value) {
  if (equals_ignore_case(name, "Package")) {
    stanza_.name = value;
    if (!is_package_name(value)) spoil(fmt::format("'{}' is not a package name", value.substr(0, 40)));
  } else if (equals_ignore_case(name, "Version")) {
    stanza_.version = value;
  } else if (equals_ignore_case(name, "Section")) {
    stanza_.section = value;
  } else if (equals_ignore_case(name, "Description") || equals_ignore_case(name, "Description-en")) {
    stanza_.description = value;
  } else if (equals_ignore_case(name, "Size")) {
    const auto size = parse_i64(value);
    if (!size || *size < 0) return spoil(fmt::format("Size '{}' is not a number of bytes", value.substr(0, 40)));
    stanza_.size = *size;
  }
}

void PackageIndex::spoil(std::string why) {
  if (spoiled_.empty()) spoiled_ = std::move(why);
}

void PackageIndex::end_stanza() {
  if (!has_lines_) return;
  ++stanzas_;
  if (stanza_.name.empty()) spoil("there is no Package field");
  if (stanza_.version.empty()) spoil("there is no Version field");
  if (!spoiled_.empty()) {
    ++malformed_;
    if (malformed_examples_.size() < kExamplesMax) {
      malformed_examples_.push_back(fmt::format("stanza {} (package {}): {}", stanzas_,
                                                stanza_.name.empty() ? "unnamed" : stanza_.name, spoiled_));
    }
  } else if (const auto [place, is_new] = place_of_.try_emplace(stanza_.name, packages_.size()); is_new) {
    packages_.push_back(std::move(stanza_));
  } else {
    ++duplicates_;
    packages_[place->second] = std::move(stanza_);
  }
  stanza_ = Package{};
  spoiled_.clear();
  has_lines_ = false;
}

}  // namespace tidemark::bench
