// Text to numbers, strictly: the whole text or nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace tidemark {

std::optional<int64_t> parse_i64(std::string_view text);   // "-12"; no leading '+', spaces or zeros ("007" fails, "0" is fine)
std::optional<uint64_t> parse_u64(std::string_view text);  // "12"; leading zeros are refused
std::optional<uint64_t> parse_hex_u64(std::string_view text);  // "1aF"; 1 to 16 digits

// "1gb", "64mb", "512kb", "100" (bytes); powers of 1024, case ignored, "g" = "gb" as in Redis.
std::optional<uint64_t> parse_memory_size(std::string_view text);

// "250ms", "5s", "2m", "1h", or a bare number of milliseconds.
std::optional<Duration> parse_duration(std::string_view text);

std::vector<std::string_view> split(std::string_view text, char separator);  // "a,,b" -> a, "", b; "" -> one empty piece
bool equals_ignore_case(std::string_view a, std::string_view b);              // ASCII
std::string to_lower(std::string_view text);                                  // ASCII

}  // namespace tidemark
