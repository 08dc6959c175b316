// notes: put, get and like notes. The topology and the role's password file come from the environment.
#include <cstdlib>
#include <iostream>
#include <string>

#include "client/client.h"
#include "client/io/families_file.h"
#include "note_store.h"

namespace {

int report(const tidemark::Error& error) {
  std::cerr << "notes: " << error.to_string() << "\n";
  return 1;
}

int usage() {
  std::cerr << "usage: notes families FILE | put SLUG BODY | get SLUG | like SLUG\n"
               "environment: TIDEMARK_TOPOLOGY (file:DIR), TIDEMARK_PASSFILE\n";
  return 2;
}

std::string environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

int get(notes::NoteStore& store, const std::string& slug) {
  auto note = store.get(slug);
  if (!note) return report(note.error());
  if (note->is_absent()) {
    std::cout << "(none; from " << to_string(note->origin()) << ")\n";
    return 0;
  }
  std::cout << note->value().body << " (likes " << note->value().likes << "; from " << to_string(note->origin())
            << ", at most " << note->staleness_ms() << " ms old)\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "families" && argc == 3) {
    auto written = tidemark::client::write_families_file(argv[2], tidemark::client::families_of<notes::NoteBySlug>());
    return written ? 0 : report(written.error());
  }
  if (!((verb == "put" && argc == 4) || ((verb == "get" || verb == "like") && argc == 3))) return usage();
  auto client =
      tidemark::client::Client::open({.topology = environment("TIDEMARK_TOPOLOGY", "file:/var/lib/tidemark/topology"),
                                      .passfile = environment("TIDEMARK_PASSFILE", ""),
                                      .name = "notes"});
  if (!client) return report(client.error());
  notes::NoteStore store((*client)->cache(), (*client)->database());
  if (verb == "get") return get(store, argv[2]);
  if (verb == "put") {
    auto done = store.put(argv[2], argv[3]);
    return done ? 0 : report(done.error());
  }
  auto likes = store.like(argv[2]);
  if (!likes) return report(likes.error());
  std::cout << "likes " << *likes << "\n";
  return 0;
}
