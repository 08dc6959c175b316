#include "bench/macro/load_script.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/invariant.h"
#include "base/parse.h"

namespace tidemark::bench {
namespace {

constexpr size_t kLineBytesMax = 512;

// A bijection of 64 bits, so that neighbours in the index are no neighbours as keys (splitmix64's finaliser).
uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// Two digits of every byte, the lower half first.
constexpr auto kDigitPairs = [] {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<std::array<char, 2>, 256> pairs{};
  for (size_t byte = 0; byte < pairs.size(); ++byte) pairs[byte] = {kDigits[byte & 15], kDigits[byte >> 4]};
  return pairs;
}();

}  // namespace

LoadScript::LoadScript(LoadProtocol protocol, uint64_t value_bytes_max)
    : protocol_(protocol), value_(value_bytes_max, 'x') {
  const std::string hole(kKeyBytes, '0');
  const auto make = [&](const std::string& before, const std::string& after) {
    return Template{.bytes = before + hole + after, .key_at = before.size()};
  };
  const std::string length = std::to_string(value_bytes_max);
  if (protocol_ == LoadProtocol::kResp) {
    get_ = make("*2\r\n$3\r\nGET\r\n$16\r\n", "\r\n");
    set_ = make("*3\r\n$3\r\nSET\r\n$16\r\n", "\r\n$" + length + "\r\n" + value_ + "\r\n");
    delete_ = make("*2\r\n$3\r\nDEL\r\n$16\r\n", "\r\n");
  } else {
    get_ = make("get ", "\r\n");
    set_ = make("set ", " 0 0 " + length + "\r\n" + value_ + "\r\n");
    delete_ = make("delete ", "\r\n");
  }
}

void LoadScript::write_key(uint64_t key, char* out) {
  uint64_t rest = mixed(key + 1);
  for (size_t i = 0; i < kKeyBytes; i += 2) {
    std::memcpy(out + i, kDigitPairs[rest & 255].data(), 2);
    rest >>= 8;
  }
}

void LoadScript::append(const Template& from, uint64_t key, std::string& out) {
  const size_t at = out.size();
  out += from.bytes;
  write_key(key, out.data() + at + from.key_at);
}

void LoadScript::append_get(uint64_t key, std::string& out) const {
  append(get_, key, out);
}

void LoadScript::append_delete(uint64_t key, std::string& out) const {
  append(delete_, key, out);
}

void LoadScript::append_set(uint64_t key, std::string& out) const {
  append(set_, key, out);
}

void LoadScript::append_set(uint64_t key, uint64_t value_bytes, uint64_t ttl_ms, std::string& out) const {
  INVARIANT(value_bytes <= value_.size(), value_bytes, value_.size());
  if (ttl_ms == 0 && value_bytes == value_.size()) {
    append(set_, key, out);
    return;
  }
  const std::string length = std::to_string(value_bytes);
  const std::string_view value(value_.data(), value_bytes);
  if (protocol_ == LoadProtocol::kResp) {
    out += ttl_ms == 0 ? "*3\r\n$3\r\nSET\r\n$16\r\n" : "*5\r\n$3\r\nSET\r\n$16\r\n";
  } else {
    out += "set ";
  }
  out.append(kKeyBytes, '0');
  write_key(key, out.data() + out.size() - kKeyBytes);
  if (protocol_ == LoadProtocol::kResp) {
    out.append("\r\n$").append(length).append("\r\n").append(value).append("\r\n");
    if (ttl_ms == 0) return;
    const std::string ttl = std::to_string(ttl_ms);
    out.append("$2\r\nPX\r\n$").append(std::to_string(ttl.size())).append("\r\n").append(ttl).append("\r\n");
  } else {
    out.append(" 0 ").append(std::to_string((ttl_ms + 999) / 1000)).append(" ").append(length).append("\r\n");
    out.append(value).append("\r\n");
  }
}

std::string LoadScript::key_text(uint64_t key) {
  std::string out(kKeyBytes, '0');
  write_key(key, out.data());
  return out;
}

uint64_t ReplyCounter::feed(std::string_view bytes) {
  uint64_t replies = 0;
  std::string_view line;
  while (!bytes.empty()) {
    if (skip_ > 0) {
      const size_t taken = std::min<uint64_t>(skip_, bytes.size());
      bytes.remove_prefix(taken);
      skip_ -= taken;
      if (skip_ == 0 && ends_with_skip_) ++replies;
      continue;
    }
    if (!take_line(bytes, line)) break;
    if (end_of_line(line)) ++replies;
    line_.clear();
  }
  return replies;
}

// The usual line is whole, and is read where it is; only one that was cut is put together in line_.
bool ReplyCounter::take_line(std::string_view& bytes, std::string_view& line) {
  const auto* end = static_cast<const char*>(std::memchr(bytes.data(), '\n', bytes.size()));
  const std::string_view part =
      bytes.substr(0, end == nullptr ? bytes.size() : static_cast<size_t>(end - bytes.data()));
  if (end == nullptr || !line_.empty()) {
    line_ += part.substr(0, kLineBytesMax - std::min(line_.size(), kLineBytesMax));
    line = line_;
  } else {
    line = part;
  }
  bytes.remove_prefix(end == nullptr ? bytes.size() : part.size() + 1);
  return end != nullptr;
}

bool ReplyCounter::end_of_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return protocol_ == LoadProtocol::kResp ? end_of_resp_line(line) : end_of_memcached_line(line);
}

bool ReplyCounter::end_of_resp_line(std::string_view line) {
  const char type = line.empty() ? '-' : line[0];
  if (type == '+' || type == ':') return true;
  if (type == '_' || line == "$-1") return end_lookup(Lookup::kMiss);
  const auto length = type == '$' ? parse_u64(line.substr(1)) : std::nullopt;
  if (!length) return fail_reply(line);
  end_lookup(Lookup::kHit);
  skip_ = *length + 2;
  ends_with_skip_ = true;
  return false;
}

bool ReplyCounter::end_of_memcached_line(std::string_view line) {
  if (line.starts_with("VALUE ")) {
    const auto length = parse_u64(line.substr(line.rfind(' ') + 1));
    if (!length) return fail_reply(line);
    saw_value_ = true;
    skip_ = *length + 2;
    ends_with_skip_ = false;
    return false;
  }
  if (line == "END") {
    const Lookup outcome = saw_value_ ? Lookup::kHit : Lookup::kMiss;
    saw_value_ = false;
    return end_lookup(outcome);
  }
  return line == "STORED" || line == "DELETED" || line == "NOT_FOUND" ? true : fail_reply(line);
}

bool ReplyCounter::end_lookup(Lookup outcome) {
  ++(outcome == Lookup::kHit ? hits_ : misses_);
  if (lookups_ != nullptr) lookups_->push_back(outcome);
  return true;
}

bool ReplyCounter::fail_reply(std::string_view line) {
  if (++errors_ == 1) first_error_ = line;
  return true;
}

}  // namespace tidemark::bench
