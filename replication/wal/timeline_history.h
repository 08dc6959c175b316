// Where a timeline's predecessors ended: the text that a primary gives to TIMELINE_HISTORY.
//
//   1<TAB>0/9000000<TAB>no recovery target specified
//   2<TAB>0/A0000D8<TAB>…                              -> 1 ended at 0/9000000, 2 at 0/A0000D8
//
// Threads: pure functions. I/O: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/proof/lsn.h"

namespace tidemark::replication {

// Nothing: the history does not name that timeline. Comments and lines that make no sense are passed over.
std::optional<Lsn> end_of_timeline(std::string_view history, uint32_t timeline);

}  // namespace tidemark::replication
