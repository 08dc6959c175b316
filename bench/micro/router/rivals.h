// What the router and the repository are compared with: libpq in pipeline mode, libpqxx, and GET over a plain socket.
//
// Threads: one; all of them block. I/O: sockets.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace tidemark::bench {

using NextKey = std::function<int64_t()>;

// `statements` are run for each read, one Sync after them; the row is in the result of `row_index`. Each takes the key
// as its parameters, as many times as it has any.
struct RivalStatement {
  std::string sql;
  std::function<std::vector<std::string>(int64_t key)> params;
};

class Rival {
 public:
  virtual ~Rival() = default;
  virtual Status read(size_t reads, size_t depth, const NextKey& next) = 0;
};

Result<std::unique_ptr<Rival>> open_libpq_pipeline(const std::string& conninfo, std::vector<RivalStatement> statements,
                                                   size_t row_index, size_t connections);
enum class PqxxMode : uint8_t { kTransaction, kNontransaction };
Result<std::unique_ptr<Rival>> open_libpqxx(const std::string& conninfo, RivalStatement statement, PqxxMode mode);
// GET of key_of(key); every one must be there.
Result<std::unique_ptr<Rival>> open_resp(uint16_t port, std::function<std::string(int64_t key)> key_of);

}  // namespace tidemark::bench
