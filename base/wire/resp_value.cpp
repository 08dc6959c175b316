#include "base/wire/resp_value.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

#include "base/parse.h"

namespace tidemark {
namespace {

using Kind = RespValue::Kind;
constexpr size_t kReserveMax = 1024;            // a declared count is believed only so far before its elements arrive
constexpr size_t kCompactBytesMin = 64u << 10;  // consumed bytes are dropped from the buffer once there are so many

std::unexpected<Error> corrupt(std::string message) {
  return fail(ErrorCode::kCorrupt, std::move(message));
}

std::string printable(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, 32)) out.push_back(c >= 0x20 && c < 0x7f ? c : '?');
  return out;
}

std::optional<double> parse_double(std::string_view text) {
  if (text == "inf" || text == "+inf") return std::numeric_limits<double>::infinity();
  if (text == "-inf") return -std::numeric_limits<double>::infinity();
  if (text == "nan" || text == "-nan") return std::numeric_limits<double>::quiet_NaN();
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::optional<Kind> aggregate_kind(char type) {
  switch (type) {
    case '*':
      return Kind::kArray;
    case '~':
      return Kind::kSet;
    case '>':
      return Kind::kPush;
    case '%':
    case '|':
      return Kind::kMap;
  }
  return std::nullopt;
}

// The values that one line holds whole.
Result<RespValue> scalar_of_line(char type, std::string_view line) {
  RespValue value;
  switch (type) {
    case '+':
    case '-':
    case '(':
      value.kind = type == '+' ? Kind::kSimple : type == '-' ? Kind::kError : Kind::kBigNumber;
      value.text = line;
      return value;
    case ':':
      if (auto number = parse_i64(line.starts_with('+') ? line.substr(1) : line)) {
        value.kind = Kind::kInteger;
        value.integer = *number;
        return value;
      }
      return corrupt(fmt::format("integer reply '{}' is not a number", printable(line)));
    case ',':
      if (auto number = parse_double(line)) {
        value.kind = Kind::kDouble;
        value.number = *number;
        return value;
      }
      return corrupt(fmt::format("double reply '{}' is not a number", printable(line)));
    case '#':
      if (line != "t" && line != "f")
        return corrupt(fmt::format("boolean reply '{}' is neither t nor f", printable(line)));
      value.kind = Kind::kBoolean;
      value.integer = line == "t" ? 1 : 0;
      return value;
    case '_':
      if (!line.empty()) return corrupt("null reply with a text");
      return value;
  }
  return corrupt(fmt::format("unknown reply type '{}'", printable(std::string_view(&type, 1))));
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

void append_decimal(std::string& out, size_t value) {
  char digits[24];
  auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, end);
}

}  // namespace

std::string RespValue::to_string() const {
  switch (kind) {
    case Kind::kNull:
      return "null";
    case Kind::kSimple:
      return "+" + text;
    case Kind::kError:
      return "-" + text;
    case Kind::kInteger:
      return std::to_string(integer);
    case Kind::kBulk:
      return quoted(text);
    case Kind::kDouble:
      return fmt::format("{}", number);
    case Kind::kBoolean:
      return integer != 0 ? "true" : "false";
    case Kind::kBigNumber:
      return "(" + text;
    case Kind::kVerbatim:
      return "=" + quoted(text);
    case Kind::kArray:
    case Kind::kMap:
    case Kind::kSet:
    case Kind::kPush:
      break;
  }
  std::string out = kind == Kind::kArray ? "[" : kind == Kind::kMap ? "{" : kind == Kind::kSet ? "~[" : ">[";
  for (size_t i = 0; i < elements.size(); ++i) {
    if (i > 0) out += kind == Kind::kMap && i % 2 == 1 ? ": " : ", ";
    out += elements[i].to_string();
  }
  return out + (kind == Kind::kMap ? "}" : "]");
}

void ReplyParser::feed(std::string_view bytes) {
  if (offset_ == buffer_.size()) {
    buffer_.clear();
    offset_ = 0;
  } else if (offset_ >= kCompactBytesMin && offset_ >= buffer_.size() / 2) {
    buffer_.erase(0, offset_);
    offset_ = 0;
  }
  buffer_.append(bytes);
}

Result<std::optional<RespValue>> ReplyParser::next() {
  while (true) {
    auto value = next_whole();
    if (!value) return value;
    if (!*value) return std::nullopt;
    // A finished value closes every aggregate it completes.
    while (true) {
      if (frames_.empty()) {
        elements_ = 0;
        return value;
      }
      Frame& frame = frames_.back();
      if (frame.missing > 0) {
        frame.value.elements.push_back(std::move(**value));
        --frame.missing;
      }
      if (frame.missing > 0) break;
      const bool is_attribute = frame.is_attribute;
      *value = std::move(frame.value);
      frames_.pop_back();
      if (is_attribute) break;  // dropped: it says something about the value that follows
    }
  }
}

// A scalar, a bulk or an empty aggregate. A non-empty aggregate opens a frame and the next value is read.
Result<std::optional<RespValue>> ReplyParser::next_whole() {
  while (true) {
    if (frames_.size() > static_cast<size_t>(limits_.depth_max)) {
      return corrupt(fmt::format("reply nested deeper than {}", limits_.depth_max));
    }
    const size_t line_start = offset_;
    auto line = take_line();
    if (!line) return std::unexpected(line.error());
    if (!*line) return std::nullopt;
    if ((*line)->empty()) return corrupt("empty reply line");
    const char type = (**line)[0];
    const std::string_view rest = (*line)->substr(1);
    if (type == '$' || type == '=' || type == '!') {
      return read_bulk(type == '$' ? Kind::kBulk : type == '=' ? Kind::kVerbatim : Kind::kError, rest, line_start);
    }
    if (aggregate_kind(type)) {
      auto value = open_aggregate(type, rest);
      if (!value || *value) return value;
      continue;
    }
    auto value = scalar_of_line(type, rest);
    if (!value) return std::unexpected(value.error());
    return std::optional(std::move(*value));
  }
}

// The next line without its CRLF, consumed; nullopt and nothing consumed while it is not whole.
Result<std::optional<std::string_view>> ReplyParser::take_line() {
  const size_t end = buffer_.find("\r\n", offset_);
  const size_t size = (end == std::string::npos ? buffer_.size() : end) - offset_;
  if (size > limits_.line_bytes_max) {
    return corrupt(fmt::format("reply line longer than {} bytes", limits_.line_bytes_max));
  }
  if (end == std::string::npos) return std::nullopt;
  std::string_view line(buffer_.data() + offset_, size);
  offset_ = end + 2;
  return line;
}

Result<std::optional<RespValue>> ReplyParser::read_bulk(Kind kind, std::string_view length, size_t line_start) {
  if (kind == Kind::kBulk && length == "-1") return std::optional(RespValue{});
  auto size = parse_u64(length);
  if (!size) return corrupt(fmt::format("bulk length '{}' is not a number", printable(length)));
  if (*size > limits_.bulk_bytes_max) {
    return corrupt(fmt::format("bulk of {} bytes is above the limit of {}", *size, limits_.bulk_bytes_max));
  }
  if (buffer_.size() - offset_ < *size + 2) {
    offset_ = line_start;  // the header is short and read again when the body is here
    return std::nullopt;
  }
  if (std::string_view(buffer_).substr(offset_ + *size, 2) != "\r\n") return corrupt("bulk does not end with CRLF");
  RespValue value;
  value.kind = kind;
  value.text.assign(buffer_, offset_, *size);
  offset_ += *size + 2;
  if (kind == Kind::kVerbatim) {
    if (value.text.size() < 4 || value.text[3] != ':') return corrupt("verbatim reply without its format");
    value.text.erase(0, 4);
  }
  return std::optional(std::move(value));
}

Result<std::optional<RespValue>> ReplyParser::open_aggregate(char type, std::string_view count) {
  if (type == '*' && count == "-1") return std::optional(RespValue{});
  auto declared = parse_u64(count);
  if (!declared) return corrupt(fmt::format("element count '{}' is not a number", printable(count)));
  const size_t per_entry = type == '%' || type == '|' ? 2 : 1;
  if (*declared > limits_.elements_max / per_entry || elements_ + *declared * per_entry > limits_.elements_max) {
    return corrupt(fmt::format("reply of more than {} elements", limits_.elements_max));
  }
  const size_t size = *declared * per_entry;
  elements_ += size;
  Frame frame;
  frame.value.kind = *aggregate_kind(type);
  frame.missing = size;
  frame.is_attribute = type == '|';
  if (size == 0 && !frame.is_attribute) return std::optional(std::move(frame.value));
  if (size == 0) return std::nullopt;
  frame.value.elements.reserve(std::min(size, kReserveMax));
  frames_.push_back(std::move(frame));
  return std::nullopt;
}

void append_request(std::string& out, std::span<const std::string_view> arguments) {
  out.push_back('*');
  append_decimal(out, arguments.size());
  out.append("\r\n");
  for (std::string_view argument : arguments) {
    out.push_back('$');
    append_decimal(out, argument.size());
    out.append("\r\n");
    out.append(argument);
    out.append("\r\n");
  }
}

std::string make_request(std::initializer_list<std::string_view> arguments) {
  std::string out;
  append_request(out, {arguments.begin(), arguments.size()});
  return out;
}

}  // namespace tidemark
