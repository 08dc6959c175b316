#include "base/wire/resp_writer.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace tidemark {
namespace {

constexpr size_t kNumberBytesMax = 24;

// Makes room for `bytes_max` more, lets `write` put some there and return the end.
template <typename Write>
void append_in_place(std::string& out, size_t bytes_max, Write write) {
  const size_t size = out.size();
  out.resize_and_overwrite(size + bytes_max,
                           [&](char* data, size_t) { return static_cast<size_t>(write(data + size) - data); });
}

char* put_number(char* at, int64_t value) {
  if (value >= 0 && value < 100) {
    if (value >= 10) *at++ = static_cast<char>('0' + value / 10);
    *at = static_cast<char>('0' + value % 10);
    return at + 1;
  }
  return std::to_chars(at, at + kNumberBytesMax, value).ptr;
}

char* put_line_end(char* at) {
  at[0] = '\r';
  at[1] = '\n';
  return at + 2;
}

inline char* put_header(char* at, char type, int64_t number) {
  *at = type;
  return put_line_end(put_number(at + 1, number));
}

}  // namespace

void RespWriter::header(char type, int64_t number) {
  append_in_place(*out_, kNumberBytesMax + 3, [&](char* at) { return put_header(at, type, number); });
}

void RespWriter::ok() {
  append_in_place(*out_, 5, [](char* at) {
    std::memcpy(at, "+OK\r\n", 5);
    return at + 5;
  });
}

void RespWriter::simple(std::string_view text) {
  out_->push_back('+');
  out_->append(text);
  out_->append("\r\n");
}

void RespWriter::error(std::string_view text) {
  out_->push_back('-');
  for (char c : text) out_->push_back(c == '\r' || c == '\n' ? ' ' : c);
  out_->append("\r\n");
}

void RespWriter::integer(int64_t value) {
  header(':', value);
}

void RespWriter::bulk(std::string_view bytes) {
  append_in_place(*out_, bytes.size() + kNumberBytesMax + 5, [&](char* at) {
    at = put_header(at, '$', static_cast<int64_t>(bytes.size()));
    if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
    return put_line_end(at + bytes.size());
  });
}

void RespWriter::bulk_head(size_t bytes) {
  header('$', static_cast<int64_t>(bytes));
}

void RespWriter::bulk_integer(int64_t value) {
  char digits[24];
  auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  bulk({digits, static_cast<size_t>(end - digits)});
}

void RespWriter::null() {
  out_->append(protocol_ >= 3 ? "_\r\n" : "$-1\r\n");
}
void RespWriter::null_array() {
  out_->append(protocol_ >= 3 ? "_\r\n" : "*-1\r\n");
}
void RespWriter::array(size_t elements) {
  header('*', static_cast<int64_t>(elements));
}

void RespWriter::map(size_t pairs) {
  if (protocol_ >= 3) return header('%', static_cast<int64_t>(pairs));
  header('*', static_cast<int64_t>(pairs * 2));
}

void RespWriter::set(size_t elements) {
  header(protocol_ >= 3 ? '~' : '*', static_cast<int64_t>(elements));
}
void RespWriter::push(size_t elements) {
  header(protocol_ >= 3 ? '>' : '*', static_cast<int64_t>(elements));
}

void RespWriter::number(double value) {
  std::string text;
  if (std::isinf(value)) {
    text = value > 0 ? "inf" : "-inf";
  } else if (std::isnan(value)) {
    text = "nan";
  } else {
    char digits[64];
    auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
    text.assign(digits, end);
  }
  if (protocol_ < 3) return bulk(text);
  out_->push_back(',');
  out_->append(text);
  out_->append("\r\n");
}

void RespWriter::boolean(bool value) {
  if (protocol_ >= 3) {
    out_->append(value ? "#t\r\n" : "#f\r\n");
  } else {
    integer(value ? 1 : 0);
  }
}

void RespWriter::verbatim(std::string_view text) {
  if (protocol_ < 3) return bulk(text);
  header('=', static_cast<int64_t>(text.size() + 4));
  out_->append("txt:");
  out_->append(text);
  out_->append("\r\n");
}

}  // namespace tidemark
