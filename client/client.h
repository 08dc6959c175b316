// Client: everything a service needs of Tidemark, opened in one call: the cache cluster, the sharded database, and the
// topology that both follow.
//
//   auto client = Client::open({.topology = "file:/var/lib/tidemark/topology", .passfile =
//   "/etc/tidemark/app.pgpass"}); if (!client) return client.error(); Repository<ProductBySku>
//   products((*client)->cache(), (*client)->database(), {…}); auto answer = products.sync().get({"bash"});
//
// open() reads the topology, makes both sides and watches for newer versions (a peer that says "yours is old" has it
// read again at once). Without an io_context it runs one on a thread of its own; with one, the caller runs it.
// Connections are made when they are first needed, so open() says nothing about reachability. Errors of open():
// kNotFound no topology there; kFailedPrecondition it has no shards (run `tidemark-shards init`); kInvalidArgument an
// address or a secret file that cannot be used. Threads: open() and close() from any thread but the own one; the rest
// from any thread. With the caller's io_context: close() and the last reference on its thread, or when it does not run.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "client/cache_client.h"
#include "client/database.h"

namespace tidemark::client {

struct ClientOptions {
  std::string topology = "file:/var/lib/tidemark/topology";
  std::string passfile{};                // libpq's, with the role's passwords for the shards; empty: libpq's default
  std::string cache_password_file{};     // of the nodes' user `default`, if they want one
  std::string name = "tidemark-client";  // CLIENT SETNAME at the nodes, application_name at the shards
  CacheOptions cache{};
  DatabaseOptions database{};
  // On the context's thread, after a newer topology was taken.
  std::function<void(const Topology&)> on_topology{};
};

class Client {
 public:
  static Result<std::unique_ptr<Client>> open(ClientOptions options);
  static Result<std::unique_ptr<Client>> open(boost::asio::io_context& context, ClientOptions options);
  virtual ~Client() = default;  // closes

  virtual const std::shared_ptr<CacheClient>& cache() const = 0;
  virtual const std::shared_ptr<Database>& database() const = 0;
  virtual boost::asio::io_context& context() = 0;
  // Ends connections and the watch; what is under way fails with kUnavailable. The own thread is joined.
  virtual void close() = 0;
};

}  // namespace tidemark::client
