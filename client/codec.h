// Codecs: how a value becomes the bytes in the cache, with a header that says which codec and which schema wrote them.
//
//   byte 0       codec id
//   bytes 1-8    schema fingerprint, little endian
//   then         the codec's own bytes
//
// A header that does not match is not an error but a miss: another version of the program wrote the value. Two versions
// that run at once replace each other's values; both stay right.
// Shipped: std::string, protobuf messages, trivially copyable types. Your own: specialise Codec<T> with kId >= 64,
// fingerprint(), encode(), decode(). A type may carry `static constexpr uint64_t kSchemaVersion` to force a new schema
// (for trivially copyable types whose fields change their meaning but not their size).
// Threads: pure functions. I/O: none.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/hash.h"
#include "base/result.h"

namespace tidemark::client {

template <typename T>
struct Codec;

inline constexpr size_t kCodecHeaderBytes = 9;

namespace detail {

// A name of T that one compiler always gives alike. Two compilers differ: their values are misses to each other.
template <typename T>
constexpr std::string_view type_name() {
  return __PRETTY_FUNCTION__;
}

template <typename T>
uint64_t with_schema_version(uint64_t fingerprint) {
  if constexpr (requires { T::kSchemaVersion; }) {
    return hash64(std::to_string(T::kSchemaVersion), fingerprint);
  } else {
    return fingerprint;
  }
}

// Without including protobuf: whatever has its members is one of its messages.
template <typename T>
concept ProtobufMessage = requires(T& message, const T& constant, const std::string& bytes, std::string* out) {
  { message.ParseFromString(bytes) } -> std::same_as<bool>;
  { constant.AppendToString(out) } -> std::same_as<bool>;
  { T::descriptor()->file()->DebugString() } -> std::convertible_to<std::string>;
};

}  // namespace detail

template <>
struct Codec<std::string> {
  static constexpr uint8_t kId = 1;
  static uint64_t fingerprint() { return 0; }
  static void encode(const std::string& value, std::string& out) { out += value; }
  static Result<std::string> decode(std::string_view bytes) { return std::string(bytes); }
};

template <typename T>
  requires(std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T>)
struct Codec<T> {
  static constexpr uint8_t kId = 2;
  static uint64_t fingerprint() { return detail::with_schema_version<T>(hash64(detail::type_name<T>(), sizeof(T))); }
  static void encode(const T& value, std::string& out) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  static Result<T> decode(std::string_view bytes) {
    if (bytes.size() != sizeof(T)) return fail(ErrorCode::kCorrupt, "value has another size than its type");
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
};

template <detail::ProtobufMessage T>
struct Codec<T> {
  static constexpr uint8_t kId = 3;
  // Any change of the .proto file that the message stands in gives a new schema.
  static uint64_t fingerprint() {
    static const uint64_t kFingerprint = detail::with_schema_version<T>(
        hash64(T::descriptor()->full_name() + "\n" + T::descriptor()->file()->DebugString()));
    return kFingerprint;
  }
  static void encode(const T& value, std::string& out) { value.AppendToString(&out); }
  static Result<T> decode(std::string_view bytes) {
    T value;
    if (!value.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return fail(ErrorCode::kCorrupt, "not a " + std::string(T::descriptor()->full_name()));
    }
    return value;
  }
};

template <typename T>
concept Encodable = requires(const T& value, std::string& out, std::string_view bytes) {
  { Codec<T>::kId } -> std::convertible_to<uint8_t>;
  { Codec<T>::fingerprint() } -> std::same_as<uint64_t>;
  Codec<T>::encode(value, out);
  { Codec<T>::decode(bytes) } -> std::same_as<Result<T>>;
};

template <Encodable T>
std::string encode_value(const T& value) {
  std::string out;
  out.push_back(static_cast<char>(Codec<T>::kId));
  for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>(Codec<T>::fingerprint() >> shift));
  Codec<T>::encode(value, out);
  return out;
}

// kCorrupt: another codec or schema wrote it, or its bytes do not decode. Treat it as a miss.
template <Encodable T>
Result<T> decode_value(std::string_view bytes) {
  if (bytes.size() < kCodecHeaderBytes) return fail(ErrorCode::kCorrupt, "value is shorter than its header");
  if (static_cast<uint8_t>(bytes[0]) != Codec<T>::kId) return fail(ErrorCode::kCorrupt, "value has another codec");
  uint64_t fingerprint = 0;
  for (int i = 8; i >= 1; --i) fingerprint = fingerprint << 8 | static_cast<uint8_t>(bytes[static_cast<size_t>(i)]);
  if (fingerprint != Codec<T>::fingerprint()) return fail(ErrorCode::kCorrupt, "value has another schema");
  return Codec<T>::decode(bytes.substr(kCodecHeaderBytes));
}

}  // namespace tidemark::client
