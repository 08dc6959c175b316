// The only place that asks the system for randomness: seeds, incarnations, passwords. Threads: any.
#pragma once

#include <cstdint>
#include <string>

namespace tidemark::io {

uint64_t random_u64();
std::string random_hex(size_t bytes);  // 2 * bytes digits

}  // namespace tidemark::io
