// The topology store in a directory: one file per version, made by link(2), so that a lost race is EEXIST.
//
//   DIR/topology.00000000000000000017.json    newest version = largest number; the last kVersionsKept are kept
//
// compare_and_set writes a temporary file, fsyncs it, links it to the name of version expected + 1 (EEXIST: somebody
// else was first), fsyncs the directory. No lock is held, so a dead writer blocks nobody.
// Threads: every member may be called from any thread. Errors: kAborted when the race was lost.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "base/result.h"
#include "base/topology/topology.h"

namespace boost::asio {
class io_context;
}

namespace tidemark::io {

class TopologyStoreFile {
 public:
  static constexpr int kVersionsKept = 16;

  // Creates the directory if it is missing (mode 0700).
  static Result<TopologyStoreFile> open(std::filesystem::path directory);

  // The newest version; kNotFound when none was ever written.
  Result<Topology> load() const;

  // Stores `next` as version expected + 1 (its version field is set by this call). expected = 0: the first one.
  Result<Topology> compare_and_set(uint64_t expected, Topology next) const;

  // Load, change, store, again when the race is lost (at most kUpdateAttempts). `change` may refuse with an error.
  static constexpr int kUpdateAttempts = 100;
  Result<Topology> update(const std::function<Status(Topology&)>& change) const;

  // Calls `on_change` on the io_context's thread with the newest topology: once soon after the start, then whenever a
  // newer version appears (inotify, with a poll each second behind it). Destroy the Watch on that thread to stop.
  class Watch {
   public:
    virtual ~Watch() = default;
  };
  std::unique_ptr<Watch> watch(boost::asio::io_context& context,
                               std::function<void(std::shared_ptr<const Topology>)> on_change) const;

  const std::filesystem::path& directory() const { return directory_; }

 private:
  explicit TopologyStoreFile(std::filesystem::path directory) : directory_(std::move(directory)) {}
  std::filesystem::path directory_;
};

// "file:DIR" -> the store; anything else is kInvalidArgument naming what is supported.
Result<TopologyStoreFile> open_topology_store(std::string_view address);

}  // namespace tidemark::io
