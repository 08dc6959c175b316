#include "base/wire/resp_writer.h"

#include <charconv>
#include <cmath>

namespace tidemark {
namespace {

void append_number(std::string& out, int64_t value) {
  char digits[24];
  auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, end);
}

}  // namespace

void RespWriter::header(char type, int64_t number) {
  out_->push_back(type);
  append_number(*out_, number);
  out_->append("\r\n");
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

void RespWriter::integer(int64_t value) { header(':', value); }

void RespWriter::bulk(std::string_view bytes) {
  header('$', static_cast<int64_t>(bytes.size()));
  out_->append(bytes);
  out_->append("\r\n");
}

void RespWriter::bulk_integer(int64_t value) {
  char digits[24];
  auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  bulk({digits, static_cast<size_t>(end - digits)});
}

void RespWriter::null() { out_->append(protocol_ >= 3 ? "_\r\n" : "$-1\r\n"); }
void RespWriter::null_array() { out_->append(protocol_ >= 3 ? "_\r\n" : "*-1\r\n"); }
void RespWriter::array(size_t elements) { header('*', static_cast<int64_t>(elements)); }

void RespWriter::map(size_t pairs) {
  if (protocol_ >= 3) return header('%', static_cast<int64_t>(pairs));
  header('*', static_cast<int64_t>(pairs * 2));
}

void RespWriter::set(size_t elements) { header(protocol_ >= 3 ? '~' : '*', static_cast<int64_t>(elements)); }
void RespWriter::push(size_t elements) { header(protocol_ >= 3 ? '>' : '*', static_cast<int64_t>(elements)); }

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
