// LCS key1 key2 [LEN] [IDX] [MINMATCHLEN n] [WITHMATCHLEN]: the longest common subsequence of two values.
//
// The classic table of lengths, (n + 1) x (m + 1) cells of 32 bits, walked back from its last cell. Limit: kCellsMax.
#include <algorithm>
#include <vector>

#include "base/parse.h"
#include "cacheserver/command/data_support.h"
#include "cacheserver/command/string_handlers.h"

namespace tidemark::cacheserver {
namespace {

constexpr uint64_t kCellsMax = uint64_t{16} << 20;  // 64 MiB, some 30 ms

struct LcsOptions {
  bool only_length = false;
  bool gives_ranges = false;
  bool gives_lengths = false;
  int64_t length_min = 0;
};

class LcsTable {
 public:
  LcsTable(std::string_view a, std::string_view b) : a_(a), b_(b), cells_((a.size() + 1) * (b.size() + 1)) {
    for (size_t i = 1; i <= a.size(); ++i) {
      for (size_t j = 1; j <= b.size(); ++j) {
        at(i, j) = a[i - 1] == b[j - 1] ? at(i - 1, j - 1) + 1 : std::max(at(i - 1, j), at(i, j - 1));
      }
    }
  }
  uint32_t length() { return at(a_.size(), b_.size()); }

  // Calls `visit(i, j)` for each common character, the last first.
  template <typename Visit>
  void walk_back(Visit visit) {
    for (size_t i = a_.size(), j = b_.size(); i > 0 && j > 0;) {
      if (a_[i - 1] == b_[j - 1]) {
        visit(--i, --j);
      } else if (at(i - 1, j) > at(i, j - 1)) {
        --i;
      } else {
        --j;
      }
    }
  }

 private:
  uint32_t& at(size_t i, size_t j) { return cells_[i * (b_.size() + 1) + j]; }
  std::string_view a_, b_;
  std::vector<uint32_t> cells_;
};

struct Range {
  size_t a_begin = 0, b_begin = 0, length = 0;
};

// Runs of characters that stand side by side in both values, the last first.
std::vector<Range> ranges_of(LcsTable& table, int64_t length_min) {
  std::vector<Range> ranges;
  table.walk_back([&](size_t i, size_t j) {
    if (!ranges.empty() && ranges.back().a_begin == i + 1 && ranges.back().b_begin == j + 1) {
      ranges.back() = {i, j, ranges.back().length + 1};
    } else {
      ranges.push_back({i, j, 1});
    }
  });
  std::erase_if(ranges, [&](const Range& range) { return static_cast<int64_t>(range.length) < length_min; });
  return ranges;
}

void reply_ranges(RespWriter& reply, LcsTable& table, const LcsOptions& options) {
  const auto ranges = ranges_of(table, options.length_min);
  reply.map(2);
  reply.bulk("matches");
  reply.array(ranges.size());
  for (const Range& range : ranges) {
    reply.array(options.gives_lengths ? 3 : 2);
    for (size_t begin : {range.a_begin, range.b_begin}) {
      reply.array(2);
      reply.integer(static_cast<int64_t>(begin));
      reply.integer(static_cast<int64_t>(begin + range.length - 1));
    }
    if (options.gives_lengths) reply.integer(static_cast<int64_t>(range.length));
  }
  reply.bulk("len");
  reply.integer(table.length());
}

bool read_options(CommandContext& context, Arguments words, LcsOptions& options) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (equals_ignore_case(words[i], "LEN")) {
      options.only_length = true;
    } else if (equals_ignore_case(words[i], "IDX")) {
      options.gives_ranges = true;
    } else if (equals_ignore_case(words[i], "WITHMATCHLEN")) {
      options.gives_lengths = true;
    } else if (equals_ignore_case(words[i], "MINMATCHLEN") && i + 1 < words.size()) {
      auto length = parse_i64(words[++i]);
      if (!length) return context.reply.error(kNotAnInteger), false;
      options.length_min = std::max<int64_t>(0, *length);
    } else {
      return context.reply.error(kSyntaxError), false;
    }
  }
  if (!options.gives_ranges || !options.only_length) return true;
  context.reply.error("ERR If you want both the length and indexes, please just use IDX.");
  return false;
}

}  // namespace

void lcs_command(CommandContext& context, Arguments arguments) {
  LcsOptions options;
  if (!read_options(context, arguments.subspan(3), options)) return;
  const Entry* first = read_entry(context, arguments[1]);
  const std::string a(first == nullptr ? std::string_view() : first->value());
  const Entry* second = read_entry(context, arguments[2]);
  const std::string_view b = second == nullptr ? std::string_view() : second->value();
  if ((a.size() + 1) * (b.size() + 1) > kCellsMax) {
    return context.reply.error("ERR Insufficient memory, transient memory for LCS exceeds 64 MiB");
  }
  LcsTable table(a, b);
  if (options.gives_ranges) return reply_ranges(context.reply, table, options);
  if (options.only_length) return context.reply.integer(table.length());
  std::string common;
  table.walk_back([&](size_t i, size_t) { common.push_back(a[i]); });
  context.reply.bulk(std::string(common.rbegin(), common.rend()));
}

}  // namespace tidemark::cacheserver
