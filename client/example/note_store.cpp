#include "note_store.h"

#include <utility>

namespace notes {

using tidemark::ErrorCode;
using tidemark::Result;
using tidemark::client::Row;
using tidemark::shardrouter::Statement;

namespace {

Result<Note> note_of(const Row& row) {
  auto slug = row.text("slug");
  auto body = row.text("body");
  auto likes = row.integer("likes");
  if (!slug) return std::unexpected(slug.error());
  if (!body) return std::unexpected(body.error());
  if (!likes) return std::unexpected(likes.error());
  return Note{std::string(*slug), std::string(*body), *likes};
}

// $1 is the bucket in every statement.
std::string bucket_text(const std::string& slug) {
  return std::to_string(tidemark::bucket_of_natural_key(slug));
}

}  // namespace

tidemark::client::RowSource<NoteBySlug> note_source() {
  return {.sql = "SELECT slug, body, likes FROM notes.note WHERE bucket = $1::int AND slug = $2",
          .batch_sql =
              "SELECT n.bucket, n.slug, n.body, n.likes FROM notes.note n "
              "JOIN unnest($1::int[], $2::text[]) AS k(bucket, slug) USING (bucket, slug)",
          .from_rows = tidemark::client::one_row<Note>(note_of)};
}

NoteStore::NoteStore(std::shared_ptr<tidemark::client::CacheClient> cache,
                     std::shared_ptr<tidemark::client::Database> database)
    : notes_(std::move(cache), std::move(database), note_source()) {}

NoteStore::Answer NoteStore::get(const std::string& slug) {
  return notes_.sync().get({slug});
}

tidemark::Status NoteStore::put(const std::string& slug, const std::string& body) {
  Statement upsert{
      "INSERT INTO notes.note (bucket, slug, body) VALUES ($1::int, $2, $3) "
      "ON CONFLICT (bucket, slug) DO UPDATE SET body = excluded.body",
      {bucket_text(slug), slug, body}};
  auto written = notes_.sync().update({slug}, {upsert});
  if (!written) return std::unexpected(written.error());
  return {};
}

Result<int64_t> NoteStore::like(const std::string& slug) {
  Statement update{"UPDATE notes.note SET likes = likes + 1 WHERE bucket = $1::int AND slug = $2 RETURNING likes",
                   {bucket_text(slug), slug}};
  auto written = notes_.sync().update({slug}, {update});
  if (!written) return std::unexpected(written.error());
  const auto& set = written->results.at(0);
  if (set.rows.empty()) return tidemark::fail(ErrorCode::kNotFound, "there is no note \"" + slug + "\"");
  return Row(set, 0).integer("likes");
}

}  // namespace notes
