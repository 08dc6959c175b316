// SHA-1, for names only (cluster node ids are 40 hex digits by the Redis Cluster contract); nothing here protects a
// secret.
#pragma once

#include <string>
#include <string_view>

namespace tidemark {

// 40 lower-case hex digits. "abc" -> a9993e364706816aba3e25717850c26c9cd0d89d
std::string sha1_hex(std::string_view bytes);

}  // namespace tidemark
