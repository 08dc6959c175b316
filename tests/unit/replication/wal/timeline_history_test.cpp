#include "replication/wal/timeline_history.h"

#include <gtest/gtest.h>

namespace tidemark::replication {
namespace {

TEST(TimelineHistory, SaysWhereEachPredecessorEnded) {
  const std::string_view history =
      "1\t0/9000000\tno recovery target specified\n\n# by hand\n2\t0/A0000D8\tbefore 2000-01-01\n";
  EXPECT_EQ(end_of_timeline(history, 1), Lsn{0x9000000});
  EXPECT_EQ(end_of_timeline(history, 2), Lsn{0xA0000D8});
  EXPECT_FALSE(end_of_timeline(history, 3));
  EXPECT_FALSE(end_of_timeline("", 1));
  EXPECT_FALSE(end_of_timeline("1\tnowhere\t", 1));
  EXPECT_FALSE(end_of_timeline("1", 1));
}

}  // namespace
}  // namespace tidemark::replication
