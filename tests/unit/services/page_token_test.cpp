#include "services/platform/page_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::services {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(PageToken, GivesThePositionBackWhateverItsBytes) {
  for (std::string position : {std::string(), std::string("z"), std::string("zs"), std::string("zsh"),
                               std::string("\0\xff\x80", 3), std::string(128, 'x')}) {
    EXPECT_EQ(read_page_token("list", page_token("list", position)), position);
  }
}

TEST(PageToken, IsMadeOfCharactersThatNeedNoEscapesInAUrl) {
  EXPECT_EQ(page_token("list", std::string("\xff\xfe\xfd\xfc"))
                .find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
            std::string::npos);
}

TEST(PageToken, OfAnotherListIsRefused) {
  auto read = read_page_token("section/editors", page_token("section/shells", "zsh"));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(read.error().message, StartsWith("page_token: "));
  EXPECT_THAT(read.error().message, HasSubstr("another list"));
}

TEST(PageToken, IsRefusedWithAnyOneCharacterChangedAddedOrMissing) {
  const std::string token = page_token("list", "libfoo-dev");
  for (size_t i = 0; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(read_page_token("list", changed)) << changed;
    EXPECT_FALSE(read_page_token("list", std::string(token).erase(i, 1))) << i;
  }
  EXPECT_FALSE(read_page_token("list", token + "A"));
}

TEST(PageToken, GarbageIsRefusedWithAdvice) {
  for (const char* garbage : {"", "A", "zsh", "not base64!", "AAAAAAA", "AZVu="}) {
    auto read = read_page_token("list", garbage);
    ASSERT_FALSE(read) << garbage;
    EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_THAT(read_page_token("list", std::string(kPageTokenBytesMax + 1, 'A')).error().message, HasSubstr("1025"));
}

}  // namespace
}  // namespace tidemark::services
