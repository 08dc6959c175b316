// Somebody with psql who changes rows behind the service's back, at a steady rate, and remembers what he was told.
//
// One psql process per shard, one statement at a time, each its own transaction: UPDATEs of products (half of them
// popular ones), and now and then a row that is inserted and later deleted again. The answer of each (sku, row_version)
// and the moment it came are kept: an acknowledged write that the commit order lacks is lost. Threads: start(), stop()
// by the owner; the writing thread is inside. The stock of products that are sold by orders is left alone, their price
// changes. Limits: a statement that takes longer than kStatementTimeout counts as failed; psql that ended (its server
// was stopped) is started again each kRestartInterval.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/slot.h"

namespace tidemark::bench {

struct AcknowledgedWrite {
  uint32_t product = 0;  // index into the list of names
  int64_t version = 0;
  int64_t at_us = 0;  // Unix microseconds
};

class RowWriter {
 public:
  static constexpr std::chrono::milliseconds kStatementTimeout{2'000};
  static constexpr std::chrono::milliseconds kRestartInterval{500};

  struct Options {
    std::vector<std::string> conninfos;               // one per shard
    std::function<size_t(Bucket)> shard_of{};         // index into conninfos; not set: the first
    std::filesystem::path log;                        // psql's standard error
    const std::vector<std::string>* names = nullptr;  // outlives the writer; the last `seasonal_count` come and go
    uint32_t seasonal_count = 0;
    double rate = 20;
    double seasonal_share = 0.1;
    uint64_t seed = 1;
    uint64_t shop_seed = 1;  // of the shop's mix: which products are the popular ones
  };
  static std::unique_ptr<RowWriter> start(Options options);
  virtual ~RowWriter() = default;  // stops

  virtual void stop() = 0;
  // After stop().
  virtual const std::vector<AcknowledgedWrite>& acknowledged() const = 0;
  virtual uint64_t failed() const = 0;
};

}  // namespace tidemark::bench
