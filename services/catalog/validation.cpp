#include "services/catalog/validation.h"

#include <algorithm>
#include <string>

namespace tidemark::catalog {
namespace {

std::unexpected<Error> refuse(std::string_view field, const std::string& why) {
  return fail(ErrorCode::kInvalidArgument, std::string(field) + ": " + why);
}

bool is_low_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

Status check_range(std::string_view field, int64_t value, int64_t max) {
  if (value >= 0 && value <= max) return {};
  return refuse(field, std::to_string(value) + " is not from 0 to " + std::to_string(max));
}

Status check_text(std::string_view field, std::string_view text, size_t bytes_max) {
  if (text.size() > bytes_max) {
    return refuse(field, std::to_string(text.size()) + " bytes are more than " + std::to_string(bytes_max));
  }
  if (text.find('\0') != std::string_view::npos) return refuse(field, "a zero byte is not allowed");
  return {};
}

}  // namespace

Status check_sku(std::string_view sku) {
  if (sku.empty()) return refuse("sku", "it is missing");
  if (sku.size() > kSkuBytesMax)
    return refuse("sku", std::to_string(sku.size()) + " bytes are more than " + std::to_string(kSkuBytesMax));
  auto is_allowed = [](char c) { return is_low_alphanumeric(c) || c == '+' || c == '.' || c == '-'; };
  if (!is_low_alphanumeric(sku[0]) || !std::ranges::all_of(sku, is_allowed)) {
    return refuse("sku", "\"" + std::string(sku) + "\" is not [a-z0-9][a-z0-9+.-]*");
  }
  return {};
}

Status check_price(int64_t price_cents) {
  return check_range("price_cents", price_cents, kPriceCentsMax);
}
Status check_stock(int64_t stock) {
  return check_range("stock", stock, kStockMax);
}
Status check_max_stale(int64_t max_stale_ms) {
  return check_range("max_stale_ms", max_stale_ms, kMaxStaleMsMax);
}

Status check_section(std::string_view section) {
  if (section.empty()) return refuse("section", "it is missing");
  return check_text("section", section, kSectionBytesMax);
}

// Every beginning of a sku of two characters or more is itself well-formed as a sku. What is not has no products, and
// is more likely a pattern or a mistake than a question.
Status check_prefix(std::string_view prefix) {
  if (prefix.size() < kPrefixBytesMin) {
    return refuse("prefix", "it needs at least " + std::to_string(kPrefixBytesMin) + " characters");
  }
  if (check_sku(prefix)) return {};
  return refuse("prefix", "no sku begins with \"" + std::string(prefix.substr(0, kSkuBytesMax)) +
                              "\"; skus are [a-z0-9][a-z0-9+.-]*, at most " + std::to_string(kSkuBytesMax) + " bytes");
}

Status check_page_size(int64_t page_size) {
  return check_range("page_size", page_size, kPageSizeMax);
}

Status check_product(const pb::Product& product) {
  if (Status status = check_sku(product.sku()); !status) return status;
  if (Status status = check_text("version", product.version(), kVersionBytesMax); !status) return status;
  if (Status status = check_text("section", product.section(), kSectionBytesMax); !status) return status;
  if (Status status = check_text("description", product.description(), kDescriptionBytesMax); !status) return status;
  if (Status status = check_range("size_bytes", product.size_bytes(), kSizeBytesMax); !status) return status;
  if (Status status = check_price(product.price_cents()); !status) return status;
  return check_stock(product.stock());
}

Status check_batch(const pb::BatchGetProductsRequest& request) {
  if (request.skus_size() == 0) return refuse("skus", "it is empty");
  if (request.skus_size() > kBatchSkusMax) {
    return refuse("skus", std::to_string(request.skus_size()) + " are more than " + std::to_string(kBatchSkusMax));
  }
  for (int i = 0; i < request.skus_size(); ++i) {
    if (Status status = check_sku(request.skus(i)); !status) {
      return fail(ErrorCode::kInvalidArgument, "skus[" + std::to_string(i) + "]: " + status.error().message);
    }
  }
  return request.has_max_stale_ms() ? check_max_stale(request.max_stale_ms()) : Status();
}

}  // namespace tidemark::catalog
