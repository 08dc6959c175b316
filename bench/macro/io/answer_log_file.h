// The answer log on disk: written in large pieces while the shop runs, read once by the oracle.
//
// Threads: one. Limits: at most `records_max` records; further ones are counted in dropped() and not written, so that a
// long run cannot fill the disk. A record is at most kBufferBytes away from the disk; close() writes the rest.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "bench/macro/answer_log.h"

namespace tidemark::bench {

class AnswerLogWriter {
 public:
  static constexpr size_t kBufferBytes = 1 << 20;

  static Result<AnswerLogWriter> create(const std::filesystem::path& path, uint64_t records_max);

  // After a failed write nothing more is written; close() reports it.
  void append(const AnswerRecord& record);
  Status close();

  uint64_t written() const { return written_; }
  uint64_t dropped() const { return dropped_; }

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  AnswerLogWriter(std::FILE* file, std::filesystem::path path, uint64_t records_max);

  std::unique_ptr<std::FILE, CloseFile> file_;
  std::filesystem::path path_;
  uint64_t records_max_;
  uint64_t written_ = 0;
  uint64_t dropped_ = 0;
  bool has_failed_ = false;
};

struct AnswerLogEnd {
  uint64_t records = 0;
  uint64_t cut_bytes = 0;  // of a last record that is not whole
};
// Calls `visit` with each record in the order of writing.
Result<AnswerLogEnd> read_answer_log(const std::filesystem::path& path,
                                     const std::function<void(const AnswerRecord&)>& visit);

}  // namespace tidemark::bench
