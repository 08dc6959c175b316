#include "base/base64url.h"

#include <gtest/gtest.h>

namespace tidemark {
namespace {

TEST(Base64Url, HasTheTextsOfTheRfc) {
  EXPECT_EQ(encode_base64url(""), "");
  EXPECT_EQ(encode_base64url("f"), "Zg");
  EXPECT_EQ(encode_base64url("fo"), "Zm8");
  EXPECT_EQ(encode_base64url("foo"), "Zm9v");
  EXPECT_EQ(encode_base64url("foob"), "Zm9vYg");
  EXPECT_EQ(encode_base64url("\xff\xef\xfe"), "_-_-");
}

TEST(Base64Url, DecodesWhatItEncodes) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(decode_base64url(encode_base64url(bytes)), bytes);
    bytes += static_cast<char>(i * 7);
  }
}

TEST(Base64Url, DecodesNothingThatItWouldNotWrite) {
  for (const char* text : {"Z", "Zg==", "Zh", "Zm9", "Zm9v Zg", "Zm9vZ", "+/+/"})
    EXPECT_FALSE(decode_base64url(text)) << text;
}

}  // namespace
}  // namespace tidemark
