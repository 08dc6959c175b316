// A note: its value, its key family, its way into bytes. The one place that knows the table.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/parse.h"
#include "client/codec.h"
#include "client/key_family.h"

namespace notes {

struct Note {
  std::string slug, body;
  int64_t likes = 0;
};

// Keys read "note:{first}": the slug is the hash tag, so row and key share their bucket.
struct NoteBySlug : tidemark::client::KeyFamily<"note:{<slug>}", Note, std::string> {
  static constexpr std::string_view kName = "note";
  static constexpr std::string_view kTable = "notes.note";
  static constexpr std::array<std::string_view, 1> kKeyColumns = {"slug"};
  static constexpr std::chrono::milliseconds kTtl = std::chrono::minutes(10);
};

}  // namespace notes

// Text, protobuf messages and trivially copyable types need no codec of their own. This one: "likes\nslug\nbody".
template <>
struct tidemark::client::Codec<notes::Note> {
  static constexpr uint8_t kId = 64;
  static uint64_t fingerprint() { return 1; }  // another number when the form changes
  static void encode(const notes::Note& note, std::string& out) {
    out += std::to_string(note.likes) + "\n" + note.slug + "\n" + note.body;
  }
  static Result<notes::Note> decode(std::string_view bytes) {
    const size_t first = bytes.find('\n');
    const size_t second = first == std::string_view::npos ? first : bytes.find('\n', first + 1);
    if (second == std::string_view::npos) return fail(ErrorCode::kCorrupt, "a note has three parts");
    const auto likes = parse_i64(bytes.substr(0, first));
    if (!likes) return fail(ErrorCode::kCorrupt, "a note's likes are a number");
    return notes::Note{std::string(bytes.substr(first + 1, second - first - 1)), std::string(bytes.substr(second + 1)),
                       *likes};
  }
};
