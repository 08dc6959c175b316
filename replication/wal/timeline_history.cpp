#include "replication/wal/timeline_history.h"

#include "base/parse.h"

namespace tidemark::replication {

std::optional<Lsn> end_of_timeline(std::string_view history, uint32_t timeline) {
  for (std::string_view line : split(history, '\n')) {
    const auto words = split(line, '\t');
    if (words.size() < 2 || parse_u64(words[0]) != timeline) continue;
    return Lsn::parse(words[1]);
  }
  return std::nullopt;
}

}  // namespace tidemark::replication
