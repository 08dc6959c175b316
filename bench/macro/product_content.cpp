#include "bench/macro/product_content.h"

#include "bench/macro/commit_stream.h"

namespace tidemark::bench {

uint64_t hash_of(const ProductContent& content) {
  const std::string size = std::to_string(content.size_bytes);
  const std::string price = std::to_string(content.price_cents);
  const std::string stock = std::to_string(content.stock);
  return content_hash({content.version, content.section, content.description, size, price, stock});
}

}  // namespace tidemark::bench
