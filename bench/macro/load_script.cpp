#include "bench/macro/load_script.h"

#include <algorithm>

#include "base/parse.h"

namespace tidemark::bench {
namespace {

constexpr size_t kKeyBytes = 16;
constexpr size_t kLineBytesMax = 512;

// A bijection of 64 bits, so that neighbours in the index are no neighbours as keys (splitmix64's finaliser).
uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace

LoadScript::LoadScript(LoadProtocol protocol, uint64_t value_bytes) : protocol_(protocol) {
  const std::string value(value_bytes, 'x');
  const std::string length = std::to_string(value_bytes);
  if (protocol_ == LoadProtocol::kResp) {
    get_before_ = "*2\r\n$3\r\nGET\r\n$16\r\n";
    get_after_ = "\r\n";
    set_before_ = "*3\r\n$3\r\nSET\r\n$16\r\n";
    set_after_ = "\r\n$" + length + "\r\n" + value + "\r\n";
  } else {
    get_before_ = "get ";
    get_after_ = "\r\n";
    set_before_ = "set ";
    set_after_ = " 0 0 " + length + "\r\n" + value + "\r\n";
  }
}

void LoadScript::append_key(uint64_t key, std::string& out) const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  char text[kKeyBytes];
  uint64_t rest = mixed(key + 1);
  for (char& digit : text) {
    digit = kDigits[rest & 15];
    rest >>= 4;
  }
  out.append(text, kKeyBytes);
}

void LoadScript::append_get(uint64_t key, std::string& out) const {
  out += get_before_;
  append_key(key, out);
  out += get_after_;
}

void LoadScript::append_set(uint64_t key, std::string& out) const {
  out += set_before_;
  append_key(key, out);
  out += set_after_;
}

std::string LoadScript::key_text(uint64_t key) {
  std::string out;
  LoadScript(LoadProtocol::kResp, 0).append_key(key, out);
  return out;
}

uint64_t ReplyCounter::feed(std::string_view bytes) {
  uint64_t replies = 0;
  while (!bytes.empty()) {
    if (skip_ > 0) {
      const size_t taken = std::min<uint64_t>(skip_, bytes.size());
      bytes.remove_prefix(taken);
      skip_ -= taken;
      if (skip_ == 0 && ends_with_skip_) ++replies;
      continue;
    }
    if (take_line(bytes) && end_of_line()) ++replies;
  }
  return replies;
}

bool ReplyCounter::take_line(std::string_view& bytes) {
  const size_t end = bytes.find('\n');
  const std::string_view part = bytes.substr(0, end);
  if (line_.size() + part.size() <= kLineBytesMax) line_ += part;
  if (end == std::string_view::npos) {
    bytes = {};
    return false;
  }
  bytes.remove_prefix(end + 1);
  return true;
}

bool ReplyCounter::end_of_line() {
  if (!line_.empty() && line_.back() == '\r') line_.pop_back();
  const bool is_end = protocol_ == LoadProtocol::kResp ? end_of_resp_line() : end_of_memcached_line();
  line_.clear();
  return is_end;
}

bool ReplyCounter::end_of_resp_line() {
  const char type = line_.empty() ? '-' : line_[0];
  if (type == '+' || type == ':') return true;
  if (type == '_' || line_ == "$-1") {
    ++misses_;
    return true;
  }
  const auto length = type == '$' ? parse_u64(std::string_view(line_).substr(1)) : std::nullopt;
  if (!length) return fail_reply();
  ++hits_;
  skip_ = *length + 2;
  ends_with_skip_ = true;
  return false;
}

bool ReplyCounter::end_of_memcached_line() {
  if (line_.starts_with("VALUE ")) {
    const auto length = parse_u64(std::string_view(line_).substr(line_.rfind(' ') + 1));
    if (!length) return fail_reply();
    saw_value_ = true;
    skip_ = *length + 2;
    ends_with_skip_ = false;
    return false;
  }
  if (line_ == "END") {
    ++(saw_value_ ? hits_ : misses_);
    saw_value_ = false;
    return true;
  }
  return line_ == "STORED" ? true : fail_reply();
}

bool ReplyCounter::fail_reply() {
  if (++errors_ == 1) first_error_ = line_;
  return true;
}

}  // namespace tidemark::bench
