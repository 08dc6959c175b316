#include "base/family/key_pattern.h"

#include <algorithm>

#include "base/hash.h"
#include "base/parse.h"

namespace tidemark {
namespace {

constexpr std::string_view kBucketParameter = "bucket";

bool is_parameter_name(std::string_view name) {
  auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return !name.empty() && is_letter(name[0]) &&
         std::ranges::all_of(name, [&](char c) { return is_letter(c) || is_digit(c); });
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

std::unexpected<Error> bad_pattern(std::string_view text, std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, "key pattern \"" + std::string(text) + "\": " + std::string(why));
}

std::unexpected<Error> bad_value(const std::string& parameter, std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, "key value of <" + parameter + ">: " + std::string(why));
}

// The bucket's tag for a row: the other values, which hold no control byte, choose one of its four slots.
std::string_view tag_for_row(Bucket bucket, std::string_view other_values) {
  auto slot = static_cast<Slot>(bucket * kSlotsPerBucket + hash64(other_values) % kSlotsPerBucket);
  return tag_for_slot(slot);
}

}  // namespace

Result<KeyPattern> KeyPattern::parse(std::string_view text) {
  KeyPattern pattern;
  std::string literal;
  auto end_literal = [&] {
    if (!literal.empty()) pattern.pieces_.push_back({false, std::exchange(literal, {})});
  };
  int braces = 0;
  for (size_t at = 0; at < text.size();) {
    char c = text[at];
    if (is_control(c)) return bad_pattern(text, "a control byte is not allowed");
    if (c == '>') return bad_pattern(text, "'>' without '<'");
    if (c == '{' && ++braces > 1) return bad_pattern(text, "only one pair of braces is allowed");
    if (c == '{' && text.substr(at, 2) != "{<")
      return bad_pattern(text, "the braces must hold exactly one <parameter>");
    bool follows_tag =
        literal.empty() && !pattern.tag_parameter_.empty() && pattern.parameters_.back() == pattern.tag_parameter_;
    if (c == '}' && !follows_tag) {
      return bad_pattern(text, "'}' must follow the parameter in the braces");
    }
    if (c != '<') {
      literal.push_back(c);
      ++at;
      continue;
    }
    size_t close = text.find('>', at);
    if (close == std::string_view::npos) return bad_pattern(text, "'<' without '>'");
    std::string name(text.substr(at + 1, close - at - 1));
    bool is_tag = literal.ends_with('{');
    if (!is_parameter_name(name))
      return bad_pattern(text, "a parameter's name is [a-z_][a-z0-9_]*, not \"" + name + "\"");
    if (std::ranges::find(pattern.parameters_, name) != pattern.parameters_.end())
      return bad_pattern(text, "<" + name + "> stands twice");
    if (literal.empty()) {
      return bad_pattern(text, pattern.pieces_.empty() ? "it must start with literal text, which names the family"
                                                       : "two parameters need literal text between them");
    }
    if (is_tag && text.substr(close + 1, 1) != "}")
      return bad_pattern(text, "the braces must hold exactly one <parameter>");
    if (!is_tag && name == kBucketParameter) return bad_pattern(text, "<bucket> may only stand in the braces");
    end_literal();
    if (is_tag) pattern.tag_parameter_ = name;
    pattern.pieces_.push_back({true, name});
    pattern.parameters_.push_back(name);
    at = close + 1;
  }
  end_literal();
  if (pattern.tag_parameter_.empty()) return bad_pattern(text, "it needs one {<parameter>}: the hash tag");
  pattern.prefix_ = pattern.pieces_.front().text;
  return pattern;
}

Result<std::string> KeyPattern::render(std::span<const std::string_view> values) const {
  if (values.size() != parameters_.size()) {
    return fail(ErrorCode::kInvalidArgument, "key \"" + prefix_ + "…\" takes " + std::to_string(parameters_.size()) +
                                                 " values, not " + std::to_string(values.size()));
  }
  std::string others;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].empty()) return bad_value(parameters_[i], "it is empty");
    for (char c : values[i]) {
      if (c == '{' || c == '}' || is_control(c))
        return bad_value(parameters_[i], "braces and control bytes are not allowed");
    }
    if (parameters_[i] != kBucketParameter) others.append(values[i]).push_back('\0');
  }
  std::string key;
  size_t next = 0;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const Piece& piece = pieces_[i];
    if (!piece.is_parameter) {
      key += piece.text;
      continue;
    }
    std::string_view value = values[next++];
    if (piece.text == kBucketParameter) {
      auto bucket = parse_u64(value);
      if (!bucket || *bucket >= kBucketCount) return bad_value(piece.text, "a number from 0 to 4095 is needed");
      key += tag_for_row(static_cast<Bucket>(*bucket), others);
      continue;
    }
    // What follows a value ends it for match(), so it must not begin any earlier.
    if (i + 1 < pieces_.size() &&
        (std::string(value) + pieces_[i + 1].text).find(pieces_[i + 1].text) != value.size()) {
      return bad_value(piece.text, "it contains \"" + pieces_[i + 1].text + "\", which ends the value in this pattern");
    }
    key += value;
  }
  return key;
}

std::optional<std::vector<std::string>> KeyPattern::match(std::string_view key) const {
  if (!key.starts_with(prefix_)) return std::nullopt;
  std::vector<std::string> values;
  std::string others;
  std::string_view tag;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const Piece& piece = pieces_[i];
    if (!piece.is_parameter) {
      if (!key.starts_with(piece.text)) return std::nullopt;
      key.remove_prefix(piece.text.size());
      continue;
    }
    size_t end = i + 1 < pieces_.size() ? key.find(pieces_[i + 1].text) : key.size();
    if (end == std::string_view::npos || end == 0) return std::nullopt;
    std::string_view value = key.substr(0, end);
    for (char c : value) {
      if (c == '{' || c == '}' || is_control(c)) return std::nullopt;
    }
    key.remove_prefix(end);
    if (piece.text == kBucketParameter) {
      tag = value;
      values.push_back(std::to_string(bucket_of_slot(slot_of_key(tag))));
    } else {
      others.append(value).push_back('\0');
      values.emplace_back(value);
    }
  }
  if (!key.empty()) return std::nullopt;
  // Of the four tags of a bucket exactly one belongs to these values; another is not a key that render() makes.
  if (!has_natural_tag() && tag != tag_for_row(bucket_of_slot(slot_of_key(tag)), others)) return std::nullopt;
  return values;
}

}  // namespace tidemark
