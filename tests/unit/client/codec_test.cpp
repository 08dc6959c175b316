#include "client/codec.h"

#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

namespace tidemark::client {
namespace {

struct PointV1 {
  int32_t x = 0;
  int32_t y = 0;
};
struct PointV2 {
  static constexpr uint64_t kSchemaVersion = 2;
  int32_t x = 0;
  int32_t y = 0;
};

static_assert(Encodable<std::string>);
static_assert(Encodable<PointV1>);
static_assert(Encodable<google::protobuf::StringValue>);
static_assert(!Encodable<std::vector<std::string>>);

TEST(Codec, TextComesBack) {
  const std::string bytes = encode_value<std::string>(std::string("a\0b", 3));
  EXPECT_EQ(bytes.size(), kCodecHeaderBytes + 3);
  EXPECT_EQ(*decode_value<std::string>(bytes), std::string("a\0b", 3));
}

TEST(Codec, PlainStructsComeBack) {
  auto point = decode_value<PointV1>(encode_value(PointV1{3, -4}));
  ASSERT_TRUE(point);
  EXPECT_EQ(point->x, 3);
  EXPECT_EQ(point->y, -4);
}

TEST(Codec, ProtobufMessagesComeBack) {
  google::protobuf::StringValue message;
  message.set_value("hello");
  auto back = decode_value<google::protobuf::StringValue>(encode_value(message));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->value(), "hello");
}

TEST(Codec, AnotherCodecIsAMiss) {
  EXPECT_EQ(decode_value<PointV1>(encode_value<std::string>("12345678")).error().message, "value has another codec");
}

TEST(Codec, AnotherSchemaIsAMiss) {
  EXPECT_EQ(decode_value<PointV2>(encode_value(PointV1{1, 2})).error().message, "value has another schema");
  google::protobuf::Int64Value number;
  EXPECT_EQ(decode_value<google::protobuf::StringValue>(encode_value(number)).error().message,
            "value has another schema");
}

TEST(Codec, CutBytesAreAMiss) {
  std::string bytes = encode_value(PointV1{1, 2});
  for (size_t size = 0; size < bytes.size(); ++size) {
    auto point = decode_value<PointV1>(std::string_view(bytes).substr(0, size));
    ASSERT_FALSE(point) << size;
    EXPECT_EQ(point.error().code, ErrorCode::kCorrupt);
  }
}

}  // namespace
}  // namespace tidemark::client
