// Key families at compile time: one declaration gives the keys, the value's type and what servers must know.
//
//   struct ProductBySku : KeyFamily<"product:{<sku>}", pb::Product, std::string> {
//     static constexpr std::string_view kName = "product";
//     static constexpr std::string_view kTable = "catalog.product";
//     static constexpr std::array<std::string_view, 1> kKeyColumns = {"sku"};
//     static constexpr std::chrono::milliseconds kTtl = std::chrono::hours(1);      // optional, as kNegativeTtl,
//     kMaxStale
//   };
//   ProductBySku::key("bash")     -> "product:{bash}"
//   ProductBySku::key(7)          does not compile: the part is text
//   ProductBySku::key("a", "b")   does not compile: the pattern has one parameter
//
// The pattern itself is checked by the compiler: parameters against parts, one hash tag holding one parameter.
// `to_family<F>()` is the same declaration as data, for the registry that nodes and the invalidator read.
// Parts: std::string or an integer type. A parameter named `bucket` is an integer part. Threads: all static. I/O: none.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "base/family/family.h"
#include "base/family/key_pattern.h"
#include "base/invariant.h"
#include "base/result.h"

namespace tidemark::client {

template <size_t N>
struct FixedString {
  char text[N]{};
  consteval FixedString(const char (&literal)[N]) { std::copy_n(literal, N, text); }  // NOLINT: implicit on purpose
  constexpr std::string_view view() const { return {text, N - 1}; }
};

template <typename T>
concept KeyPart =
    std::same_as<T, std::string> || (std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char>);

// May an argument of type A stand for a key part of type P? Text for text, integers for integers, nothing else.
template <typename A, typename P>
concept KeyPartFrom =
    (std::same_as<P, std::string> && std::convertible_to<const A&, std::string_view> && !std::integral<A>) ||
    (std::integral<P> && std::integral<A> && !std::same_as<A, bool> && !std::same_as<A, char>);

namespace detail {

// The number of parameters of a well-formed pattern, or -1.
consteval int pattern_parameters(std::string_view pattern) {
  int parameters = 0;
  int braces = 0;
  int in_braces = 0;
  bool is_open = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '{') {
      if (is_open || ++braces > 1) return -1;
      is_open = true;
    } else if (c == '}') {
      if (!is_open) return -1;
      is_open = false;
    } else if (c == '<') {
      const size_t end = pattern.find('>', i);
      if (end == std::string_view::npos || end == i + 1) return -1;
      if (pattern.substr(i + 1, end - i - 1).find_first_of("<{}") != std::string_view::npos) return -1;
      ++parameters;
      if (is_open) ++in_braces;
      i = end;
    } else if (c == '>' || is_open) {
      return -1;  // the hash tag holds a parameter and nothing else
    }
  }
  return braces == 1 && !is_open && in_braces == 1 ? parameters : -1;
}

template <typename P>
std::string part_text(const P& part) {
  if constexpr (std::integral<P>) {
    return std::to_string(part);
  } else {
    return std::string(std::string_view(part));
  }
}

}  // namespace detail

template <FixedString Pattern, typename ValueType, KeyPart... Parts>
struct KeyFamily {
  static_assert(
      detail::pattern_parameters(Pattern.view()) >= 0,
      "a pattern is text with <parameters>, one of them alone in the only pair of braces: \"product:{<sku>}\"");
  static_assert(detail::pattern_parameters(Pattern.view()) < 0 ||
                    detail::pattern_parameters(Pattern.view()) == static_cast<int>(sizeof...(Parts)),
                "the pattern must have as many <parameters> as the family has key parts");

  using Value = ValueType;
  using Key = std::tuple<Parts...>;
  static constexpr std::string_view kPattern = Pattern.view();

  // What a family may hide by its own.
  static constexpr std::chrono::milliseconds kTtl = std::chrono::hours(1);
  static constexpr std::chrono::milliseconds kNegativeTtl = std::chrono::seconds(10);
  static constexpr std::chrono::milliseconds kMaxStale = std::chrono::seconds(60);

  // kInvalidArgument when a value cannot stand in a key (braces, control bytes, empty tag).
  template <typename... Args>
    requires(sizeof...(Args) == sizeof...(Parts) && (KeyPartFrom<std::decay_t<Args>, Parts> && ...))
  static Result<std::string> key(const Args&... args) {
    return render({detail::part_text(args)...});
  }
  static Result<std::string> key_of(const Key& key) { return render(texts_of(key)); }

  // The parts as the database takes them.
  static std::vector<std::string> texts_of(const Key& key) {
    return std::apply([](const Parts&... parts) { return std::vector<std::string>{detail::part_text(parts)...}; }, key);
  }

  static const KeyPattern& pattern() {
    static const KeyPattern kParsed = parse_pattern();
    return kParsed;
  }

 private:
  static Result<std::string> render(const std::vector<std::string>& texts) {
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    return pattern().render(views);
  }
  static KeyPattern parse_pattern() {
    auto parsed = KeyPattern::parse(kPattern);
    INVARIANT(parsed.has_value(), kPattern);  // the static_asserts above let no bad pattern through
    return std::move(*parsed);
  }
};

// A type derived from KeyFamily that names its table and key columns, one column for each parameter of the pattern.
template <typename F>
concept CachedFamily = requires {
  typename F::Value;
  typename F::Key;
  { F::kPattern } -> std::convertible_to<std::string_view>;
  { F::kName } -> std::convertible_to<std::string_view>;
  { F::kTable } -> std::convertible_to<std::string_view>;
  { F::kKeyColumns[0] } -> std::convertible_to<std::string_view>;
} && std::size(F::kKeyColumns) == std::tuple_size_v<typename F::Key>;

// A value is made of one row, the one whose key columns are the key: `static constexpr bool kOneRowPerKey = true;`.
// Only then can what a statement returned be the key's new value (Repository::async_write_through).
template <typename F>
concept RowMappedFamily = CachedFamily<F> && requires { requires F::kOneRowPerKey; };

template <CachedFamily F>
Family to_family() {
  Family family;
  family.name = F::kName;
  family.pattern = F::kPattern;
  family.table = F::kTable;
  family.key_columns.assign(std::begin(F::kKeyColumns), std::end(F::kKeyColumns));
  family.ttl_ms = static_cast<uint64_t>(std::chrono::milliseconds(F::kTtl).count());
  family.negative_ttl_ms = static_cast<uint64_t>(std::chrono::milliseconds(F::kNegativeTtl).count());
  family.max_stale_ms = static_cast<uint64_t>(std::chrono::milliseconds(F::kMaxStale).count());
  return family;
}

// families_of<ProductBySku, OrdersOfCustomer>(): what client/io/families_file.h writes for `tidemarkctl families
// apply`.
template <CachedFamily... F>
std::vector<Family> families_of() {
  return {to_family<F>()...};
}

}  // namespace tidemark::client
