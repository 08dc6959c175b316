// Replies cut anywhere read as in one piece; hostile counts never make the parser allocate beyond its limits.
#include <vector>

#include "base/wire/resp_value.h"
#include "tests/fuzz/fuzz.h"

namespace {

using tidemark::ReplyParser;
using tidemark::RespValue;

std::pair<std::vector<RespValue>, bool> read_in_pieces(std::string_view bytes, size_t piece) {
  ReplyParser parser({.bulk_bytes_max = 1 << 16, .elements_max = 1 << 12, .depth_max = 8});
  std::vector<RespValue> values;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    parser.feed(bytes.substr(at, piece));
    while (true) {
      auto value = parser.next();
      if (!value) return {values, true};
      if (!*value) break;
      values.push_back(std::move(**value));
    }
  }
  return {values, false};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  std::string_view bytes = as_text(data + 1, size - 1);
  auto [whole, whole_broken] = read_in_pieces(bytes, bytes.size());
  auto [pieces, pieces_broken] = read_in_pieces(bytes, 1 + data[0] % 13);
  FUZZ_CLAIM(whole_broken == pieces_broken);
  FUZZ_CLAIM(whole.size() == pieces.size());
  for (size_t i = 0; i < whole.size(); ++i) FUZZ_CLAIM(whole[i].to_string() == pieces[i].to_string());
  return 0;
}
