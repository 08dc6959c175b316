#include "cacheserver/command/freshness_arguments.h"

#include <fmt/format.h>

#include "base/parse.h"

namespace tidemark::cacheserver {
namespace {

constexpr size_t kQuotedBytesMax = 64;

}  // namespace

std::string quoted(std::string_view text) {
  std::string out = "'";
  for (char c : text.substr(0, kQuotedBytesMax)) {
    bool is_printable = c >= ' ' && c < 0x7f;
    if (is_printable)
      out += c;
    else
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  out += text.size() > kQuotedBytesMax ? "…'" : "'";
  return out;
}

std::string_view ArgumentReader::text(std::string_view name) {
  if (left() == 0) {
    fail(fmt::format("ERR {} is missing", name));
    return {};
  }
  return arguments_[next_++];
}

uint64_t ArgumentReader::number_up_to(std::string_view name, uint64_t max) {
  std::string_view given = text(name);
  auto value = parse_u64(given);
  if (value && *value <= max) return *value;
  fail(fmt::format("ERR {} {} is not a number from 0 to {}", name, quoted(given), max));
  return 0;
}

bool ArgumentReader::flag(std::string_view name) {
  std::string_view given = text(name);
  if (given != "0" && given != "1") fail(fmt::format("ERR {} {} is neither 0 nor 1", name, quoted(given)));
  return given == "1";
}

Lsn ArgumentReader::lsn(std::string_view name) {
  std::string_view given = text(name);
  auto value = Lsn::parse(given);
  if (!value) fail(fmt::format("ERR {} {} is not an LSN like 16/B374D848", name, quoted(given)));
  return value.value_or(Lsn{});
}

std::optional<PgSnapshot> ArgumentReader::snapshot(std::string_view name) {
  std::string_view given = text(name);
  if (given == "-") return std::nullopt;
  auto value = PgSnapshot::parse(given);
  if (!value) fail(fmt::format("ERR {} {} is neither xmin:xmax:xip,xip,… nor -", name, quoted(given)));
  return value;
}

Proof ArgumentReader::proof(std::string_view name) {
  std::string_view given = text(name);
  auto value = Proof::parse(given);
  if (!value)
    fail(fmt::format("ERR {} {} is not R:p:e:be:lsn or S:p:e:be:xmin:xmax:xip,xip,…:lsn", name, quoted(given)));
  return value.value_or(Proof{});
}

void ArgumentReader::fail(std::string error) {
  if (error_.empty()) error_ = std::move(error);
}

}  // namespace tidemark::cacheserver
