#include "bench/macro/io/answer_log_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace tidemark::bench {
namespace {

std::unexpected<Error> file_error(const std::filesystem::path& path, std::string_view what) {
  return fail(ErrorCode::kUnavailable, fmt::format("{} {}: {}", what, path.string(), std::strerror(errno)));
}

}  // namespace

AnswerLogWriter::AnswerLogWriter(std::FILE* file, std::filesystem::path path, uint64_t records_max)
    : file_(file), path_(std::move(path)), records_max_(records_max) {}

Result<AnswerLogWriter> AnswerLogWriter::create(const std::filesystem::path& path, uint64_t records_max) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return file_error(path, "cannot create the answer log");
  std::setvbuf(file, nullptr, _IOFBF, kBufferBytes);
  std::fwrite(kAnswerLogHeader.data(), 1, kAnswerLogHeader.size(), file);
  return AnswerLogWriter(file, path, records_max);
}

void AnswerLogWriter::append(const AnswerRecord& record) {
  if (written_ >= records_max_ || has_failed_) {
    ++dropped_;
    return;
  }
  const RecordBytes bytes = encode(record);
  has_failed_ = std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size();
  ++(has_failed_ ? dropped_ : written_);
}

Status AnswerLogWriter::close() {
  if (file_ == nullptr) return {};
  const bool is_flushed = std::fclose(file_.release()) == 0;
  if (has_failed_ || !is_flushed) return file_error(path_, "cannot write the answer log");
  return {};
}

Result<AnswerLogEnd> read_answer_log(const std::filesystem::path& path,
                                     const std::function<void(const AnswerRecord&)>& visit) {
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) return file_error(path, "cannot read the answer log");
  std::array<char, kAnswerLogHeader.size()> header{};
  if (std::fread(header.data(), 1, header.size(), file.get()) != header.size() ||
      std::string_view(header.data(), header.size()) != kAnswerLogHeader) {
    return fail(ErrorCode::kCorrupt, fmt::format("{} is not an answer log of this version", path.string()));
  }
  AnswerLogEnd end;
  RecordBytes bytes;
  while (true) {
    const size_t got = std::fread(bytes.data(), 1, bytes.size(), file.get());
    if (got < bytes.size()) {
      end.cut_bytes = got;
      return end;
    }
    const auto record = decode_record({bytes.data(), bytes.size()});
    if (!record)
      return std::unexpected(record.error().with_context(fmt::format("{} record {}", path.string(), end.records)));
    visit(*record);
    ++end.records;
  }
}

}  // namespace tidemark::bench
