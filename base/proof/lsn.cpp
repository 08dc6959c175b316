#include "base/proof/lsn.h"

#include <fmt/format.h>

#include "base/parse.h"

namespace tidemark {

std::string Lsn::to_string() const { return fmt::format("{:X}/{:X}", value >> 32, value & 0xffffffffu); }

std::optional<Lsn> Lsn::parse(std::string_view text) {
  size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash > 8 || text.size() - slash - 1 > 8) return std::nullopt;
  auto high = parse_hex_u64(text.substr(0, slash));
  auto low = parse_hex_u64(text.substr(slash + 1));
  if (!high || !low) return std::nullopt;
  return Lsn{(*high << 32) | *low};
}

}  // namespace tidemark
