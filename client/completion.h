// Any Asio completion token over a type-erased callback: callbacks, use_future, use_awaitable, deferred …
//
// The signature is void(T). The handler runs on its associated executor if it has one, else on the client's io_context.
// Only this header pulls Asio into the public headers, and only its completion-token part.
#pragma once

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <functional>
#include <future>
#include <utility>

namespace tidemark::client {

template <typename T>
using Callback = std::move_only_function<void(T)>;

namespace detail {

template <typename T, typename Handler>
Callback<T> erase_handler(Handler&& handler) {
  auto executor = boost::asio::get_associated_executor(handler);
  return [handler = std::forward<Handler>(handler), work = boost::asio::make_work_guard(executor)](T value) mutable {
    auto target = work.get_executor();
    boost::asio::dispatch(target, [handler = std::move(handler), value = std::move(value)]() mutable {
      std::move(handler)(std::move(value));
    });
    work.reset();
  };
}

}  // namespace detail

// Runs `start(Callback<T>)` when the token's operation is initiated.
template <typename T, typename Start, typename CompletionToken>
auto initiate(Start start, CompletionToken&& token) {
  return boost::asio::async_initiate<CompletionToken, void(T)>(
      [](auto handler, Start begin) { begin(detail::erase_handler<T>(std::move(handler))); }, token, std::move(start));
}

// Blocks the calling thread until the operation completes: the blocking twins. Never on the io_context's own thread.
template <typename T, typename Start>
T wait_for_result(Start start) {
  std::promise<T> promise;
  std::future<T> future = promise.get_future();
  start(Callback<T>([promise = std::move(promise)](T value) mutable { promise.set_value(std::move(value)); }));
  return future.get();
}

}  // namespace tidemark::client
