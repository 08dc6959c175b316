// PgConnection's handlers as awaitables, for the .cpp files that go through several steps in a row.
//
// Not included by headers: it brings in Asio's coroutines.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <string>

#include "replication/io/pg_connection.h"

namespace tidemark::replication::io {

inline boost::asio::awaitable<Status> await_connect(std::shared_ptr<PgConnection> connection) {
  auto start = [connection](auto handler) { connection->connect(std::move(handler)); };
  auto result = co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(Status)>(
      start, boost::asio::use_awaitable);
  co_return result;
}

inline boost::asio::awaitable<Result<PgRows>> await_query(std::shared_ptr<PgConnection> connection, std::string sql,
                                                          Duration timeout) {
  auto start = [connection, sql, timeout](auto handler) { connection->query(sql, timeout, std::move(handler)); };
  auto result = co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(Result<PgRows>)>(
      start, boost::asio::use_awaitable);
  co_return result;
}

inline boost::asio::awaitable<Status> await_copy(std::shared_ptr<PgConnection> connection, std::string command,
                                                 Duration timeout, PgConnection::CopyEvents events) {
  auto start = [connection, command, timeout, events](auto handler) {
    connection->start_copy(command, timeout, events, std::move(handler));
  };
  auto result = co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(Status)>(
      start, boost::asio::use_awaitable);
  co_return result;
}

}  // namespace tidemark::replication::io
