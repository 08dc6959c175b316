// Requests cut at a byte of the fuzzer's choice must read exactly as they do in one piece.
#include <algorithm>
#include <string>
#include <vector>

#include "base/wire/request_parser.h"
#include "tests/fuzz/fuzz.h"

namespace {

using tidemark::RequestBatch;
using tidemark::RequestParser;

struct Reading {
  std::vector<std::vector<std::string>> requests;
  bool is_broken = false;
  std::string error;
  bool operator==(const Reading&) const = default;
};

void drain(RequestParser& parser, std::string& pending, Reading& reading) {
  std::string_view input = pending;
  RequestBatch batch;
  while (!reading.is_broken) {
    auto outcome = parser.next(input, batch);
    if (outcome == RequestParser::Outcome::kIncomplete) break;
    if (outcome == RequestParser::Outcome::kError) {
      reading.is_broken = true;
      reading.error = parser.error();
    }
  }
  for (size_t i = 0; i < batch.size(); ++i) {
    reading.requests.emplace_back();
    for (std::string_view argument : batch[i]) reading.requests.back().emplace_back(argument);
  }
  pending.erase(0, pending.size() - input.size());
}

Reading read_in_pieces(std::string_view bytes, size_t piece) {
  RequestParser parser({.bulk_bytes_max = 1 << 20, .arguments_max = 4096});
  Reading reading;
  std::string pending;
  for (size_t at = 0; at < bytes.size() && !reading.is_broken; at += piece) {
    pending.append(bytes.substr(at, piece));
    drain(parser, pending, reading);
  }
  return reading;
}

// As a server does that receives large arguments where they will stay: one per request leaves the input.
Reading read_supplying(std::string_view bytes, size_t piece, size_t large) {
  RequestParser parser({.bulk_bytes_max = 1 << 20, .arguments_max = 4096});
  Reading reading;
  std::string pending, value;
  size_t missing = 0;
  while (!bytes.empty() && !reading.is_broken) {
    const std::string_view some = bytes.substr(0, missing > 0 ? std::min(missing, piece) : piece);
    bytes.remove_prefix(some.size());
    if (missing > 0) {
      value += some;
      missing -= some.size();
      if (missing > 0) continue;
      parser.supply(value);
    } else {
      pending += some;
    }
    drain(parser, pending, reading);
    if (reading.is_broken || parser.has_supplied() || parser.argument_bytes() < large) continue;
    value = pending.substr(parser.bytes_read(), parser.argument_bytes());
    missing = parser.argument_bytes() - value.size();
    pending.erase(parser.bytes_read(), value.size());
    if (missing == 0) parser.supply(value);
  }
  return reading;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  std::string_view bytes = as_text(data + 1, size - 1);
  Reading whole = read_in_pieces(bytes, bytes.size());
  Reading pieces = read_in_pieces(bytes, 1 + data[0] % 17);
  FUZZ_CLAIM(whole == pieces);
  Reading supplied = read_supplying(bytes, 1 + data[0] / 17 % 9, 1 + data[0] % 5);
  FUZZ_CLAIM(whole == supplied);
  return 0;
}
