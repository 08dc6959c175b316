// Notes through the cache: what a service of yours would be written on.
#pragma once

#include <memory>
#include <string>

#include "client/repository.h"
#include "note.h"

namespace notes {

// How notes are read: one statement for one key, one for many.
tidemark::client::RowSource<NoteBySlug> note_source();

class NoteStore {
 public:
  using Answer = tidemark::client::Repository<NoteBySlug>::Answer;

  NoteStore(std::shared_ptr<tidemark::client::CacheClient> cache, std::shared_ptr<tidemark::client::Database> database);

  // A note, "there is none" (proven), or an error. Says where it came from and how old it can be.
  Answer get(const std::string& slug);
  tidemark::Status put(const std::string& slug, const std::string& body);
  tidemark::Result<int64_t> like(const std::string& slug);  // kNotFound

 private:
  tidemark::client::Repository<NoteBySlug> notes_;
};

}  // namespace notes
