// A cache node and a Postgres shard with one replica, made up inside a test: no process, no file, no waiting.
//
//   FakeCluster cluster;
//   cluster.serve(note_source());                                   // so that its statements are answered
//   cluster.put<NoteBySlug>({"a"}, {{{"body", "one"}}});            // a commit on the primary
//   NoteStore notes(cluster.cache(), cluster.database());           // the code under test
//   notes.get("a");                                                 // primary; fills the node
//   notes.get("a");                                                 // node
//   cluster.hold_stream(true);                                      // commits no longer reach the node …
//   cluster.put<NoteBySlug>({"a"}, {{{"body", "two"}}});
//   cluster.clock().advance(5s);                                    // … and its staleness bound grows
//   cluster.stop_node();                                            // what if the cache is down?
//   cluster.fail_primary(Error{ErrorCode::kUnavailable, "gone"});   // what if the database is?
//
// The client library under it is the real one: real RESP over loopback, real proofs, real deadlines (those run on the
// machine's clock; the clock here is the node's: leases, times to live and bounds). Key columns need not be given in
// rows. Writes go to on_write, which says what changed.
// Threads: every member from any thread; handlers run on the cluster's own thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/cache_client.h"
#include "client/database.h"
#include "client/key_family.h"
#include "client/repository.h"
#include "client/testing/manual_clock.h"
#include "client/testing/scripted_wal.h"

namespace tidemark::testing {

class FakeCluster {
 public:
  // What one statement of a write did.
  struct Done {
    shardrouter::ResultSet result;             // RETURNING
    std::vector<ScriptedWal::Change> changes;  // change_of<F>(key, rows)
  };
  using OnWrite = std::function<Result<Done>(const shardrouter::Statement&)>;

  FakeCluster();
  ~FakeCluster();

  const std::shared_ptr<client::CacheClient>& cache() const;
  const std::shared_ptr<client::Database>& database() const;
  ManualClock& clock();

  // ---- the database
  template <client::CachedFamily F>
  void serve(const client::RowSource<F>& source) {
    add_source({F::pattern(), key_columns<F>(), source.sql, source.batch_sql});
  }
  template <client::CachedFamily F>
  void put(const typename F::Key& key, std::vector<FakeRow> rows) {
    commit({change_of<F>(key, std::move(rows))});
  }
  template <client::CachedFamily F>
  void erase(const typename F::Key& key) {
    commit({change_of<F>(key, {})});
  }
  template <client::CachedFamily F>
  static ScriptedWal::Change change_of(const typename F::Key& key, std::vector<FakeRow> rows) {
    const std::vector<std::string> texts = F::texts_of(key);
    for (FakeRow& row : rows) {
      for (size_t i = 0; i < texts.size(); ++i) row.emplace(std::string(F::kKeyColumns[i]), texts[i]);
    }
    return {F::key_of(key).value(), std::move(rows)};
  }
  // The rows of a key as the primary shows them now.
  template <client::CachedFamily F>
  std::vector<FakeRow> rows(const typename F::Key& key) const {
    return rows_of(F::key_of(key).value());
  }
  void on_write(OnWrite handler);
  void commit(std::vector<ScriptedWal::Change> changes);

  // ---- what reaches whom (nothing is held at first)
  void hold_stream(bool is_held);  // false: what was held arrives at once
  void hold_replay(bool is_held);
  void use_replica(bool is_used);  // false (at first): loads go to the primary

  // ---- faults
  void stop_node();                               // its connections break, new ones are refused; what it held is gone
  void start_node();                              // on the same port, empty
  void fail_primary(std::optional<Error> error);  // nullopt: well again
  void fail_replica(std::optional<Error> error);

  // ---- looking
  template <client::CachedFamily F>
  bool is_cached(const typename F::Key& key) const {
    return holds(F::key_of(key).value());
  }
  size_t loads() const;  // pipelines that read rows for a repository, on both servers
  std::vector<std::vector<std::string>> requests(std::string_view command) const;  // that the node got

 private:
  struct Source {
    KeyPattern pattern;
    std::vector<std::string> columns;
    std::string sql, batch_sql;
  };
  template <client::CachedFamily F>
  static std::vector<std::string> key_columns() {
    return {std::begin(F::kKeyColumns), std::end(F::kKeyColumns)};
  }
  void add_source(Source source);
  std::vector<FakeRow> rows_of(const std::string& key) const;
  bool holds(const std::string& key) const;

  class World;
  std::unique_ptr<World> world_;
};

}  // namespace tidemark::testing
