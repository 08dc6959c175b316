// The pattern of a family's keys: literal text and parameters in angle brackets.
//
//   "product:{<sku>}"                  parameters: sku        prefix: "product:{"
//   "orders:{<bucket>}:<customer_id>"  parameters: bucket, customer_id
//
// Exactly one pair of braces, holding exactly one parameter: the hash tag. It is either a natural key, rendered as it
// is, or the word `bucket`, rendered as one of the bucket's four short tags (chosen by a hash of the other values, so
// that the invalidator and every client agree). A value that holds '{', '}' or a control byte is refused, for it would
// change the slot or the reading of the key.
// Threads: immutable after parse(). I/O: none.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/slot.h"

namespace tidemark {

class KeyPattern {
 public:
  static Result<KeyPattern> parse(std::string_view text);

  // `values` stand in the order of parameters(); `bucket` is given as its decimal number.
  Result<std::string> render(std::span<const std::string_view> values) const;

  // The values of a key of this pattern, or nothing if it is not one. A short tag reads back as its bucket's number.
  // Views into `key`, except the bucket, which lives in the returned strings.
  std::optional<std::vector<std::string>> match(std::string_view key) const;

  const std::vector<std::string>& parameters() const { return parameters_; }
  const std::string& prefix() const { return prefix_; }  // literal text before the first parameter
  bool has_natural_tag() const { return tag_parameter_ != "bucket"; }

 private:
  struct Piece {
    bool is_parameter = false;
    std::string text;  // the literal, or the parameter's name
  };
  std::vector<Piece> pieces_;
  std::vector<std::string> parameters_;
  std::string prefix_;
  std::string tag_parameter_;
};

}  // namespace tidemark
