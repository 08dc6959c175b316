// Which columns of a product the oracle compares, for the texts Postgres prints and the fields of an answer alike.
//
// Threads: values. I/O: none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tidemark::bench {

inline const std::vector<std::string>& product_content_columns() {
  static const std::vector<std::string> kColumns = {"version",    "section",     "description",
                                                    "size_bytes", "price_cents", "stock"};
  return kColumns;
}

struct ProductContent {
  std::string_view version, section, description;
  int64_t size_bytes = 0, price_cents = 0, stock = 0;
};
// Equal to the content_hash of the same row's columns in a CommitStream over product_content_columns().
uint64_t hash_of(const ProductContent& content);

}  // namespace tidemark::bench
